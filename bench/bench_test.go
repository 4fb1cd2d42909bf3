package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/testenv/guests"
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

func TestRowIsComparedRoundByRound(t *testing.T) {
	echo := &row{samples: []sample{{calls: 1, p50: time.Second, cpu: 3 * time.Microsecond}, {calls: 1, p50: 10 * time.Second}}}
	own := &row{against: echo, samples: []sample{{calls: 1, p50: 2 * time.Second, cpu: 5 * time.Microsecond}, {calls: 1, p50: 20 * time.Second}}}
	got := own.result()
	if *got.Ratio != (figure{2, 2, 2}) {
		t.Errorf("ratio %+v, want 2 in both rounds", *got.Ratio)
	}
	if got.Added.Max != 2 {
		t.Errorf("added at most %v µs, want 2", got.Added.Max)
	}
}

func TestTableIsAlignedAndNamesUnits(t *testing.T) {
	var text strings.Builder
	r := newReport(plan{rounds: 3}, []result{
		{Name: "short", Callers: 1, P50: figure{Median: 12.34, Min: 1, Max: 1500}},
		{Name: "a long name", P50: figure{Median: 2500, Min: 900, Max: 4000}},
	})
	if err := r.writeTable(&text); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"short         1         12.3 µs (1.0–1500.0)",
		"a long name             2.5 ms (0.9–4.0)",
	} {
		if !strings.Contains(text.String(), "\n"+line+"\n") {
			t.Errorf("no line %q in\n%s", line, text.String())
		}
	}
}

func TestFailedCallFailsTheRunWithItsText(t *testing.T) {
	e, err := openEnvironment(t.Context(), t.TempDir(), map[string][]byte{pluginHandmade: guests.Handmade{Body: guests.Trap}.Bytes()}, manyCallers)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	r := &row{name: "trap", callers: manyCallers, do: e.callPlugin(pluginHandmade)}
	err = measureRows(t.Context(), []*row{r}, 1, time.Minute)
	if err == nil || !strings.Contains(err.Error(), "502 plugin_crashed") {
		t.Errorf("got %v, want plugin_crashed", err)
	}
}

func TestCancelledRunEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	r := &row{name: "cancelled", callers: 1, do: func(context.Context, int) error {
		if calls++; calls == 3 {
			cancel()
		}
		return nil
	}}
	if err := measureRows(ctx, []*row{r}, 1, time.Minute); err == nil {
		t.Error("no error")
	}
}
