package main

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestRowIsComparedRoundByRound(t *testing.T) {
	echo := &row{samples: []sample{
		{calls: 1, p50: time.Second, elapsed: time.Second, cpu: 3 * time.Microsecond},
		{round: 1, calls: 1, p50: 10 * time.Second, elapsed: 10 * time.Second},
	}}
	own := &row{against: echo, samples: []sample{
		{calls: 1, p50: 2 * time.Second, elapsed: 2 * time.Second, cpu: 5 * time.Microsecond},
		{round: 1, calls: 1, p50: 20 * time.Second, elapsed: 20 * time.Second},
	}}
	for _, c := range []struct {
		quantity quantity
		want     figure
	}{
		{p50Ratio, figure{2, 2, 2}},
		{rateRatio, figure{0.5, 0.5, 0.5}},
		{cpuAdded, figure{0, 0, 2}},
	} {
		t.Run(c.quantity.key, func(t *testing.T) {
			if got, ok := own.figure(c.quantity); !ok || got != c.want {
				t.Errorf("%+v, %v, want %+v", got, ok, c.want)
			}
		})
	}
	if _, ok := echo.figure(p50Ratio); ok {
		t.Error("a row that is compared with none has a ratio")
	}
}

func TestRareRowIsComparedWithItsOwnRounds(t *testing.T) {
	var took time.Duration
	next := func(context.Context, time.Duration) (sample, error) {
		took++
		return sample{calls: 1, p50: took}, nil
	}
	always := &row{name: "always", take: next, cold: true}
	rare := &row{name: "rare", take: next, cold: true, every: 2, against: always}
	if err := measureRows(t.Context(), []*row{always, rare}, 3, 0); err != nil {
		t.Fatal(err)
	}
	// In order: always 1, rare 2, always 3, always 4, rare 5.
	if got, _ := rare.figure(p50Ratio); len(rare.samples) != 2 || got != (figure{1.25, 1.25, 2}) {
		t.Errorf("%+v of %d rounds, want 1.25 and 2", got, len(rare.samples))
	}
}

func TestExcessIsTheDifferenceOfEachRound(t *testing.T) {
	of := &row{samples: []sample{{p50: 5 * time.Microsecond}, {round: 1, p50: 9 * time.Microsecond}, {round: 2, p50: time.Second}}}
	above := &row{samples: []sample{{p50: 2 * time.Microsecond}, {round: 1, p50: 2 * time.Microsecond}}}
	if got, _ := excess("", of, above).figure(p50); got != (figure{3, 3, 7}) {
		t.Errorf("%+v, want 3 and 7", got)
	}
}

func TestWarmingUpIsNotReported(t *testing.T) {
	measured := 0
	r := &row{name: "warm", take: func(context.Context, time.Duration) (sample, error) {
		measured++
		return sample{calls: 1}, nil
	}}
	if err := measureRows(t.Context(), []*row{r}, 2, 0); err != nil {
		t.Fatal(err)
	}
	if measured != 3 || len(r.samples) != 2 {
		t.Errorf("%d rounds measured and %d kept, want 3 and 2", measured, len(r.samples))
	}
}

func TestDisturbanceRunsWhileARoundIsMeasured(t *testing.T) {
	begun := make(chan struct{})
	var running, over bool
	take := beside(1, func(ctx context.Context, _ int) error {
		running = true
		close(begun)
		<-ctx.Done()
		over = true
		return nil
	}, func(context.Context, time.Duration) (sample, error) {
		<-begun
		if !running || over {
			t.Error("measured without the disturbance")
		}
		return sample{}, nil
	})
	if _, err := take(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if !over {
		t.Error("the disturbance goes on after the round")
	}
}

func TestFailedDisturbanceFailsTheRound(t *testing.T) {
	fault := errors.New("a fault")
	take := beside(2, func(context.Context, int) error { return fault }, func(context.Context, time.Duration) (sample, error) { return sample{}, nil })
	if _, err := take(t.Context(), 0); !errors.Is(err, fault) {
		t.Errorf("got %v, want the fault", err)
	}
}
