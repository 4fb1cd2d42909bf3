//go:build unix

package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pluginhost/pluginhost/subjects"
)

// report is what came of a run.
type report struct {
	Seed        uint64         `json:"seed"`
	Unkept      bool           `json:"unkept,omitempty"`
	Accepted    int            `json:"accepted"`
	Resent      int            `json:"resent"` // attempts to submit that failed
	DeliveredIn time.Duration  `json:"delivered_in"`
	Broken      map[string]int `json:"broken"`
	Service     map[string]int `json:"service"`
	Events      map[string]int `json:"events"`
	// Lost are plays that were accepted and never taken, Disordered those that were taken before one that was accepted earlier.
	Lost       int `json:"lost"`
	Disordered int `json:"disordered"`
	// Doubles are the deliveries of plays that had been delivered, Unexplained those of which nobody says why.
	Doubles     int `json:"doubles"`
	Unexplained int `json:"unexplained"`
	// Control is what the run without a check has shown; empty is that there was none.
	Control     string   `json:"control,omitempty"`
	Interrupted bool     `json:"interrupted,omitempty"`
	Faults      []string `json:"faults"`
}

// judge counts what was lost, what came twice, and what came in another order.
func (r *report) judge(o options, s *service, w *witness) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	r.Service, r.Events = maps.Clone(s.said), make(map[string]int)
	for kind, n := range w.events {
		r.Events[string(kind)] = n
	}
	for user := range o.users {
		taken := s.taken[userName(user)]
		count := make(map[int64]int)
		for _, second := range taken {
			count[second]++
		}
		order := unique(taken)
		if !slices.IsSorted(order) {
			for i := 1; i < len(order); i++ {
				if order[i] < order[i-1] {
					r.Disordered++
				}
			}
		}
		for n := range o.of(user) {
			times := count[second(n)]
			if times == 0 {
				r.Lost++
				continue
			}
			r.Doubles += times - 1
			explained := s.unsaid[played{userName(user), second(n)}] + len(w.reruns[playID(user, n)])
			r.Unexplained += max(times-1-explained, 0)
		}
	}
	if r.Accepted < o.plays { // interrupted: what was not submitted is not lost
		r.Lost = max(r.Lost-(o.plays-r.Accepted), 0)
	}
	r.fault(r.Lost, "accepted plays were lost")
	r.fault(r.Disordered, "plays came in another order than they were accepted")
	r.fault(r.Unexplained, "plays came twice without a word")
	r.fault(r.Events[string(subjects.EventScrobbleDead)], "plays became dead letters")
}

func (r *report) fault(n int, what string) {
	if n > 0 {
		r.Faults = append(r.Faults, fmt.Sprintf("%d %s", n, what))
	}
}

// control runs once more, with replicas that acknowledge a play before they call the plugin.
func (r *report) control(ctx context.Context, o options, log io.Writer) {
	o.unkept, o.plays, o.every = true, o.controls, min(o.every, time.Second)
	without, err := run(ctx, o, log)
	switch {
	case err != nil:
		r.Faults = append(r.Faults, "the control: "+err.Error())
	case without.Lost == 0 && ctx.Err() == nil:
		r.Faults = append(r.Faults, "replicas that acknowledge a play before they call the plugin were not noticed")
	default:
		r.Control = fmt.Sprintf("replicas that acknowledge a play before they call the plugin lost %d of %d", without.Lost, without.Accepted)
	}
}

// text is the report for people.
func (r report) text() string {
	var b strings.Builder
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(&b, format+"\n", args...) }
	line("seed                     %d", r.Seed)
	line("accepted                 %d plays, with %d attempts more", r.Accepted, r.Resent)
	line("delivered                after %v", r.DeliveredIn)
	line("lost                     %d", r.Lost)
	line("in another order         %d", r.Disordered)
	line("twice                    %d, without a word %d", r.Doubles, r.Unexplained)
	for _, kind := range slices.Sorted(maps.Keys(r.Broken)) {
		line("%-24s %d times", kind, r.Broken[kind])
	}
	for _, mood := range slices.Sorted(maps.Keys(r.Service)) {
		line("the service %s: %d times", mood, r.Service[mood])
	}
	for _, kind := range slices.Sorted(maps.Keys(r.Events)) {
		line("event %-18s %d", kind, r.Events[kind])
	}
	if r.Control != "" {
		line("control                  %s", r.Control)
	}
	if r.Interrupted {
		line("interrupted: this is what was done until then")
	}
	for _, fault := range r.Faults {
		line("NOT good: %s", fault)
	}
	if len(r.Faults) == 0 && !r.Interrupted {
		line("good")
	}
	return b.String()
}
