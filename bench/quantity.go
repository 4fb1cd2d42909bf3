package main

import "strconv"

// quantity is something that samples tell: a column of a section's table. Times
// are in microseconds.
type quantity struct {
	// key names it in the JSON.
	key string
	// title heads the column. Where against is set, the name of the section's
	// baseline is added.
	title  string
	format format
	// of one sample; against compares it with the baseline's of the same round.
	// One of them is set.
	of      func(s sample) float64
	against func(own, other sample) float64
}

func p50Of(s sample) float64  { return microseconds(s.p50) }
func p99Of(s sample) float64  { return microseconds(s.p99) }
func maxOf(s sample) float64  { return microseconds(s.max) }
func cpuOf(s sample) float64  { return microseconds(s.cpu) / float64(s.calls) }
func rateOf(s sample) float64 { return float64(s.calls) / s.elapsed.Seconds() }

// What the sections show.
var (
	p50       = quantity{key: "p50_us", title: "p50", format: duration, of: p50Of}
	p99       = quantity{key: "p99_us", title: "p99", format: duration, of: p99Of}
	longest   = quantity{key: "max_us", title: "max", format: duration, of: maxOf}
	took      = quantity{key: "took_us", title: "time", format: duration, of: p50Of}
	cpu       = quantity{key: "cpu_us", title: "CPU a call", format: duration, of: cpuOf}
	perSecond = quantity{key: "calls_per_s", title: "calls/s", format: count, of: rateOf}

	p50Ratio = quantity{key: "p50_ratio", title: "p50 × ", format: ratio, against: func(own, other sample) float64 {
		return p50Of(own) / p50Of(other)
	}}
	p99Ratio = quantity{key: "p99_ratio", title: "p99 × ", format: ratio, against: func(own, other sample) float64 {
		return p99Of(own) / p99Of(other)
	}}
	rateRatio = quantity{key: "calls_per_s_ratio", title: "calls/s × ", format: ratio, against: func(own, other sample) float64 {
		return rateOf(own) / rateOf(other)
	}}
	cpuAdded = quantity{key: "cpu_added_us", title: "CPU added to ", format: duration, against: func(own, other sample) float64 {
		return cpuOf(own) - cpuOf(other)
	}}
)

// heading is the quantity's name in a section.
func (q quantity) heading(baseline string) string {
	if q.against != nil {
		return q.title + baseline
	}
	return q.title
}

// format writes v in the unit that suits like.
type format func(v, like float64) (number, unit string)

func duration(v, like float64) (number, unit string) {
	if like >= 1000 || like <= -1000 {
		v /= 1000
		unit = " ms"
	} else {
		unit = " µs"
	}
	return strconv.FormatFloat(v, 'f', 1, 64), unit
}

func count(v, _ float64) (number, unit string) { return strconv.FormatFloat(v, 'f', 0, 64), "" }

func ratio(v, _ float64) (number, unit string) { return strconv.FormatFloat(v, 'f', 2, 64), "" }
