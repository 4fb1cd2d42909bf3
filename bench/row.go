package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// row is one line of a section while it is measured.
type row struct {
	name string
	// callers is how many call at once; 0 where nothing is called over and over.
	callers int
	take    source
	// cold rows have no round ahead to warm up.
	cold bool
	// every is how many rounds there are to one in which the row is measured,
	// for rows that are slow. 0 is 1.
	every int
	// shows are the quantities of this row. Nil is those of its section.
	shows []quantity
	aims  []aim
	// against is the row that this one is compared with. Nil is none.
	against *row
	samples []sample
}

// measureRows lets the rows take turns, so that whatever else the machine does
// meets all of them.
func measureRows(ctx context.Context, rows []*row, rounds int, length time.Duration) error {
	for _, r := range rows {
		if r.cold {
			continue
		}
		// Connections, pools and caches fill up before the first round.
		if _, err := r.measure(ctx, length/4); err != nil {
			return err
		}
	}
	for round := range rounds {
		for _, r := range rows {
			if round%max(r.every, 1) != 0 {
				continue
			}
			s, err := r.measure(ctx, length)
			if err != nil {
				return err
			}
			s.round = round
			r.samples = append(r.samples, s)
		}
	}
	return nil
}

func (r *row) measure(ctx context.Context, length time.Duration) (sample, error) {
	s, err := r.take(ctx, length)
	if err != nil && r.callers > 0 {
		return s, fmt.Errorf("%s, callers %d: %w", r.name, r.callers, err)
	}
	if err != nil {
		return s, fmt.Errorf("%s: %w", r.name, err)
	}
	return s, nil
}

// excess is a row of its own: the p50 of one less that of another, round by
// round. Both have been measured.
func excess(name string, of, above *row) *row {
	r := &row{name: name, shows: []quantity{p50}}
	for _, s := range of.samples {
		if other, ok := above.in(s.round); ok {
			r.samples = append(r.samples, sample{round: s.round, p50: s.p50 - other.p50})
		}
	}
	return r
}

// in finds the sample of a round.
func (r *row) in(round int) (sample, bool) {
	at := slices.IndexFunc(r.samples, func(s sample) bool { return s.round == round })
	if at < 0 {
		return sample{}, false
	}
	return r.samples[at], true
}

// figure sums up a quantity over the rounds, or reports that the row has none.
func (r *row) figure(q quantity) (figure, bool) {
	var values []float64
	for _, s := range r.samples {
		if q.against == nil {
			values = append(values, q.of(s))
		} else if r.against != nil {
			if other, ok := r.against.in(s.round); ok {
				values = append(values, q.against(s, other))
			}
		}
	}
	if len(values) == 0 {
		return figure{}, false
	}
	return figureOf(values), true
}

// result is one line of a section.
type result struct {
	Name    string `json:"name"`
	Callers int    `json:"callers,omitempty"`
	// Figures are by the keys of quantities.
	Figures map[string]figure `json:"figures"`
	Aims    []verdict         `json:"aims,omitempty"`
}

func (r *row) result(shows []quantity, baseline string) result {
	if r.shows != nil {
		shows = r.shows
	}
	out := result{Name: r.name, Callers: r.callers, Figures: make(map[string]figure)}
	for _, q := range shows {
		if f, ok := r.figure(q); ok {
			out.Figures[q.key] = f
		}
	}
	for _, a := range r.aims {
		if f, ok := r.figure(a.of); ok {
			out.Aims = append(out.Aims, a.judge(f.Median, baseline))
		}
	}
	return out
}
