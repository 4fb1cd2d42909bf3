package main

import (
	"strings"
	"testing"
	"time"
)

func TestQuantile(t *testing.T) {
	for name, c := range map[string]struct {
		sorted []int
		q      float64
		want   int
	}{
		"the median of three":       {[]int{1, 2, 3}, 0.5, 2},
		"the median of four":        {[]int{1, 2, 3, 4}, 0.5, 2},
		"of one value":              {[]int{7}, 0.99, 7},
		"the slowest of a few":      {[]int{1, 2, 3, 4}, 0.99, 4},
		"one of a hundred is above": {hundred(), 0.99, 99},
	} {
		t.Run(name, func(t *testing.T) {
			if got := quantile(c.sorted, c.q); got != c.want {
				t.Errorf("got %d, want %d", got, c.want)
			}
		})
	}
}

func hundred() []int {
	all := make([]int, 100)
	for i := range all {
		all[i] = i + 1
	}
	return all
}

func TestAimSaysWhetherItWasReached(t *testing.T) {
	for name, c := range map[string]struct {
		aim    aim
		median float64
		want   string
	}{
		"not more than the most":  {aim{of: p50Ratio, bound: 1.4}, 1.31, "p50 × echo 1.31, aim ≤ 1.4: reached"},
		"just the most":           {aim{of: p50Ratio, bound: 1.4}, 1.4, "p50 × echo 1.4, aim ≤ 1.4: reached"},
		"more than the most":      {aim{of: p50, bound: 15}, 23.46, "p50 23.5 µs, aim ≤ 15 µs: missed"},
		"not less than the least": {aim{of: rateRatio, bound: 0.45, least: true}, 0.5, "calls/s × echo 0.50, aim ≥ 0.45: reached"},
		"less than the least":     {aim{of: rateRatio, bound: 0.45, least: true}, 0.4, "calls/s × echo 0.40, aim ≥ 0.45: missed"},
		"in the unit of the aim":  {aim{of: took, bound: 100_000}, 512, "time 0.5 ms, aim ≤ 100 ms: reached"},
	} {
		t.Run(name, func(t *testing.T) {
			got := c.aim.judge(c.median, "echo")
			if got.text != c.want {
				t.Errorf("%q, want %q", got.text, c.want)
			}
			if got.Reached != strings.HasSuffix(c.want, ": reached") {
				t.Errorf("reached is %v", got.Reached)
			}
		})
	}
}

// outcomeOf measures nothing.
func outcomeOf(rows ...*row) outcome {
	s := section{name: "some", title: "Some rows", baseline: "short", shows: []quantity{p50, p50Ratio}}
	o := outcome{Name: s.name, Title: s.title, Baseline: s.baseline, Rounds: 2, section: s}
	for _, r := range rows {
		o.Rows = append(o.Rows, r.result(s.shows, s.baseline))
	}
	return o
}

func someRows() []*row {
	short := &row{name: "short", callers: 1, samples: []sample{{p50: 1250 * time.Microsecond}, {round: 1, p50: 900 * time.Microsecond}}}
	long := &row{
		name: "a long name", callers: 64, samples: []sample{{p50: 2500 * time.Microsecond}, {round: 1, p50: 3600 * time.Microsecond}},
		against: short, aims: []aim{{of: p50Ratio, bound: 2}},
	}
	return []*row{short, long}
}

func TestTableIsAlignedAndNamesUnitsAndAims(t *testing.T) {
	var text strings.Builder
	if err := outcomeOf(someRows()...).writeTable(&text); err != nil {
		t.Fatal(err)
	}
	want := `
## Some rows (2 rounds, 0 s)

row           callers   p50                       p50 × short
short         1         900.0 µs (900.0–1250.0)
a long name   64        2.5 ms (2.5–3.6)          2.00 (2.00–4.00)
→ a long name, 64 callers: p50 × short 2, aim ≤ 2: reached
`
	if text.String() != want {
		t.Errorf("got\n%s\nwant\n%s", text.String(), want)
	}
}

func TestJSONHasFiguresAndAims(t *testing.T) {
	r := newReport()
	r.Sections = []outcome{outcomeOf(someRows()...)}
	var text strings.Builder
	if err := r.writeJSON(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"p50_ratio": {
              "median": 2,
              "min": 2,
              "max": 4
            }`,
		`"aim": "≤ 2",
              "reached": true`,
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %s in\n%s", want, text.String())
		}
	}
}
