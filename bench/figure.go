package main

import (
	"math"
	"slices"
	"time"
)

// figure is one measured quantity over all rounds.
type figure struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// figureOf sums up the values of the rounds, of which there is at least one.
func figureOf(rounds []float64) figure {
	sorted := slices.Sorted(slices.Values(rounds))
	return figure{Median: quantile(sorted, 0.5), Min: sorted[0], Max: sorted[len(sorted)-1]}
}

// text is median (min–max), with the unit once.
func (f figure) text(format format) string {
	median, unit := format(f.Median, f.Median)
	least, _ := format(f.Min, f.Median)
	most, _ := format(f.Max, f.Median)
	return median + unit + " (" + least + "–" + most + ")"
}

// quantile is the smallest value that is not below a share q of all.
func quantile[T any](sorted []T, q float64) T {
	rank := int(math.Ceil(q*float64(len(sorted)))) - 1
	return sorted[min(max(rank, 0), len(sorted)-1)]
}

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
