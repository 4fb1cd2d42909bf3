package usage

import "fmt"

// Sample is what is used after so many calls.
type Sample struct {
	Calls int64
	Usage
}

// Trend is how one quantity went along.
type Trend struct {
	Quantity `json:"-"`
	// First and Last are those of the samples.
	First, Last int64
	// PerThousand is the slope over the second half, by least squares: how much
	// more is used after a thousand calls.
	PerThousand float64
	// Growth is what the slope makes of the second half.
	Growth float64
}

// Trends returns how each quantity went along, in the order of Quantities. Fewer
// than four samples have no slope.
func Trends(samples []Sample) []Trend {
	if len(samples) == 0 {
		return nil
	}
	half := samples[len(samples)/2:]
	var trends []Trend
	for _, q := range Quantities() {
		trend := Trend{Quantity: q, First: q.Of(samples[0].Usage), Last: q.Of(samples[len(samples)-1].Usage)}
		if len(samples) >= 4 {
			slope := slopeOf(half, q)
			trend.PerThousand = slope * 1000
			trend.Growth = slope * float64(half[len(half)-1].Calls-half[0].Calls)
		}
		trends = append(trends, trend)
	}
	return trends
}

// Grown says which quantities grow by more than spare over the second half.
func Grown(trends []Trend, spare Usage) []string {
	var grown []string
	for _, t := range trends {
		if room := t.Of(spare); t.Growth > float64(room) {
			grown = append(grown, fmt.Sprintf("%s: %.0f more over the second half, %d are tolerated", t.Name, t.Growth, room))
		}
	}
	return grown
}

// slopeOf is that of the line which fits best.
func slopeOf(samples []Sample, q Quantity) float64 {
	var calls, values float64
	for _, s := range samples {
		calls += float64(s.Calls)
		values += float64(q.Of(s.Usage))
	}
	n := float64(len(samples))
	calls, values = calls/n, values/n
	var above, below float64
	for _, s := range samples {
		dx := float64(s.Calls) - calls
		above += dx * (float64(q.Of(s.Usage)) - values)
		below += dx * dx
	}
	if below == 0 {
		return 0
	}
	return above / below
}
