package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/pluginhost/pluginhost/testenv/guests"
	"github.com/pluginhost/pluginhost/wasmrt"
)

// stopDeadline is how long the calls may take that do not end by themselves.
const stopDeadline = 5 * time.Millisecond

// stopSection measures how long after its deadline a call is over.
func stopSection() section {
	return section{
		name: "stop", title: "How long after its deadline a call is ended",
		shows: []quantity{p50, longest},
		run:   measureStop,
	}
}

func measureStop(ctx context.Context, b *bench) (_ []*row, err error) {
	h, err := openHost(b.cache())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, h.close(context.WithoutCancel(ctx))) }()
	var rows []*row
	for _, guest := range []struct {
		name string
		body []byte
	}{{"endless loop", guests.Loop}, {"recursion without a loop", guests.Recurse}} {
		module, err := h.load(ctx, handmade(guest.body), moduleOptions(wasmrt.Limits{}))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", guest.name, err)
		}
		stopped := events(stop(module))
		collect := func(context.Context, int) error {
			runtime.GC()
			return nil
		}
		rows = append(rows,
			&row{name: guest.name, callers: 1, take: stopped},
			&row{name: guest.name + ", garbage collected all the time", callers: 1, take: beside(1, collect, stopped)})
	}
	return rows, b.measure(ctx, rows, 10, 200*time.Millisecond)
}

// stop makes a call that must be ended and tells how long after its deadline
// its caller hears of it.
func stop(module *wasmrt.Module) timed {
	return func(ctx context.Context) (late time.Duration, err error) {
		deadline := time.Now().Add(stopDeadline)
		ctx, cancel := context.WithDeadline(ctx, deadline)
		defer cancel()
		module.Answer(ctx, export, nil, func(a wasmrt.Answer) { late, err = time.Since(deadline), a.Err })
		if !errors.Is(err, wasmrt.ErrDeadline) {
			return 0, fmt.Errorf("a call that does not end: want %w, got %w", wasmrt.ErrDeadline, err)
		}
		return late, nil
	}
}
