package main

import (
	"context"
	"fmt"
	"time"
)

// row is one line of the table while it is measured.
type row struct {
	name    string
	callers int
	do      call
	// against is the row that this one is compared with; nil is none.
	against *row
	samples []sample // one for each round
}

// measureRows lets the rows take turns, so that whatever else the machine does
// meets all of them.
func measureRows(ctx context.Context, rows []*row, rounds int, length time.Duration) error {
	for _, r := range rows {
		// Connections, pools and caches fill up before the first round.
		if err := r.measure(ctx, length/4); err != nil {
			return err
		}
		r.samples = nil
	}
	for range rounds {
		for _, r := range rows {
			if err := r.measure(ctx, length); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *row) measure(ctx context.Context, length time.Duration) error {
	s, err := measure(ctx, r.callers, length, r.do)
	if err != nil {
		return fmt.Errorf("%s, callers %d: %w", r.name, r.callers, err)
	}
	r.samples = append(r.samples, s)
	return nil
}

// result is one line of the table. Times are in microseconds; what a row does
// not have is nil.
type result struct {
	Name    string `json:"name"`
	Callers int    `json:"callers,omitempty"`
	// P50 and P99 are of the calls of one round; where a round is a single
	// event, P50 is how long it took.
	P50 figure  `json:"p50_us"`
	P99 *figure `json:"p99_us,omitempty"`
	// PerSecond is how many calls all callers made together.
	PerSecond *figure `json:"calls_per_s,omitempty"`
	// Ratio is P50 by that of the echo in the same round.
	Ratio *figure `json:"p50_by_echo,omitempty"`
	// CPU is the processor time of a call; Added is that less the echo's in the
	// same round.
	CPU   *figure `json:"cpu_us,omitempty"`
	Added *figure `json:"cpu_added_us,omitempty"`
}

func (r *row) result() result {
	p99, perSecond, cpu := r.figure(p99Of), r.figure(perSecondOf), r.figure(cpuOf)
	out := result{Name: r.name, Callers: r.callers, P50: r.figure(p50Of), P99: &p99, PerSecond: &perSecond, CPU: &cpu}
	if r.against != nil {
		ratio := r.compared(func(own, echo sample) float64 { return p50Of(own) / p50Of(echo) })
		added := r.compared(func(own, echo sample) float64 { return cpuOf(own) - cpuOf(echo) })
		out.Ratio, out.Added = &ratio, &added
	}
	return out
}

func (r *row) figure(of func(sample) float64) figure {
	var values []float64
	for _, s := range r.samples {
		values = append(values, of(s))
	}
	return figureOf(values)
}

// compared is figure with the sample of the other row in the same round.
func (r *row) compared(of func(own, other sample) float64) figure {
	var values []float64
	for round, s := range r.samples {
		values = append(values, of(s, r.against.samples[round]))
	}
	return figureOf(values)
}

func p50Of(s sample) float64       { return microseconds(s.p50) }
func p99Of(s sample) float64       { return microseconds(s.p99) }
func cpuOf(s sample) float64       { return microseconds(s.cpu) / float64(s.calls) }
func perSecondOf(s sample) float64 { return float64(s.calls) / s.elapsed.Seconds() }
