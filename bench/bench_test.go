package main

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/testenv/guests"
	"github.com/pluginhost/pluginhost/wasmrt"
)

// TestMain lets the test program be the process of runFirstAnswer too.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == firstAnswerArgument {
		os.Exit(runFirstAnswer(os.Args[2:]))
	}
	os.Exit(m.Run())
}

func TestQuickRunMeasuresEverySection(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles several guests")
	}
	measured := 0
	err := benchmark(t.Context(), sections(), plan{quick: true, plays: 2000}, func(o outcome) error {
		measured++
		for _, r := range o.Rows {
			if len(r.Figures) == 0 {
				t.Errorf("%s: %s has no figures", o.Name, r.Name)
			}
		}
		var text strings.Builder
		if err := o.writeTable(&text); err != nil {
			return err
		}
		t.Log(text.String())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if measured != len(sections()) {
		t.Errorf("%d sections, want %d", measured, len(sections()))
	}
}

func TestSectionsAreChosenByAPartOfTheirNameOrTitle(t *testing.T) {
	for part, want := range map[string]string{
		"":            "bus gateway neighbour wasm instance work stop cache schedule socket scrobble scrobble-delivery scrobble-memory extism bridge-060 load develop",
		"LOAD":        "load",
		"over nats":   "bus",
		"no-op":       "bus extism",
		"has no such": "",
	} {
		t.Run(part, func(t *testing.T) {
			chosen, err := selected(part)
			var names []string
			for _, s := range chosen {
				names = append(names, s.name)
			}
			if got := strings.Join(names, " "); got != want {
				t.Errorf("%q, want %q", got, want)
			}
			if (err != nil) != (want == "") {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestFailedCallFailsTheRunWithItsText(t *testing.T) {
	b := newBench(t)
	e, err := b.openEnvironment(t.Context(), "trap", map[string][]byte{pluginHandmade: handmade(guests.Trap)}, manyCallers)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	r := &row{name: "trap", callers: manyCallers, take: calls(manyCallers, e.callPlugin(pluginHandmade))}
	err = measureRows(t.Context(), []*row{r}, 1, time.Minute)
	if err == nil || !strings.Contains(err.Error(), "502 plugin_crashed") {
		t.Errorf("got %v, want plugin_crashed", err)
	}
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b, err := openBench(plan{quick: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func TestCallThatEndsBeforeItsDeadlineIsNoStop(t *testing.T) {
	b := newBench(t)
	h, err := openHost(b.cache())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	module, err := h.load(t.Context(), handmade(nil), moduleOptions(wasmrt.Limits{}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stop(module)(t.Context()); err == nil {
		t.Error("no error")
	}
}

func TestWrongAnswerFailsTheRun(t *testing.T) {
	answer := func(context.Context, []byte) ([]byte, error) { return []byte("41"), nil }
	if err := compare(answer, nil, []byte("42"))(t.Context(), 0); err == nil || !strings.Contains(err.Error(), `"41", want "42"`) {
		t.Errorf("got %v, want both answers", err)
	}
	if err := compare(answer, nil, []byte("41"))(t.Context(), 0); err != nil {
		t.Error(err)
	}
}

func TestFirstAnswerWithoutItsFilesFails(t *testing.T) {
	b := newBench(t)
	if _, err := b.firstAnswer(t.Context()); err == nil || !strings.Contains(err.Error(), "read the agent") {
		t.Errorf("got %v, want what the process said", err)
	}
}

func TestCancelledRunEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	made := 0
	r := &row{name: "cancelled", callers: 1, take: calls(1, func(context.Context, int) error {
		if made++; made == 3 {
			cancel()
		}
		return nil
	})}
	if err := measureRows(ctx, []*row{r}, 1, time.Minute); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that it was cancelled", err)
	}
}
