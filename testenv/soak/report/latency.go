package report

import (
	"fmt"
	"slices"
	"time"
)

// Latency is how long calls took.
type Latency struct {
	// Count is how many there were.
	Count int
	// P50 and P99 are what so many per cent of them took at most, Longest is what
	// the longest took.
	P50, P99, Longest time.Duration
}

// LatencyOf sums up; it sorts took.
func LatencyOf(took []time.Duration) Latency {
	if len(took) == 0 {
		return Latency{}
	}
	slices.Sort(took)
	rank := func(percent int) time.Duration { return took[min(len(took)*percent/100, len(took)-1)] }
	return Latency{Count: len(took), P50: rank(50), P99: rank(99), Longest: took[len(took)-1]}
}

// String is for tables.
func (l Latency) String() string {
	if l.Count == 0 {
		return "none"
	}
	round := func(d time.Duration) time.Duration { return d.Round(max(d/1000, time.Microsecond)) }
	return fmt.Sprintf("p50 %v, p99 %v, longest %v", round(l.P50), round(l.P99), round(l.Longest))
}
