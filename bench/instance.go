package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pluginhost/pluginhost/wasmrt"
)

// instanceSection measures what it costs to make an instance.
func instanceSection() section {
	return section{
		name: "instance", title: "New instances: from the image, and by _initialize",
		shows: []quantity{p50, p99},
		run:   measureInstances,
	}
}

// declined is a method that the guests do not implement: they do next to
// nothing before they say so.
const declined = "metadata_agent_get_album_info"

// pause is how long nothing happens before each call that is measured, at least.
const pause = time.Millisecond

func measureInstances(ctx context.Context, b *bench) (_ []*row, err error) {
	functions, err := upstream()
	if err != nil {
		return nil, err
	}
	h, err := openHost(b.cache())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, h.close(context.WithoutCancel(ctx))) }()
	var rows []*row
	for _, guest := range []struct{ name, pkg string }{{"Go no-op", guestNoop}, {"agent", guestAgent}} {
		wasm, err := b.guest(ctx, guest.pkg)
		if err != nil {
			return nil, err
		}
		for _, kind := range []struct {
			name   string
			limits wasmrt.Limits
		}{
			{"an idle one is used", wasmrt.Limits{Isolation: wasmrt.IsolationClean}},
			// None stays idle for as long as the pause.
			{"one is made from the image", wasmrt.Limits{Isolation: wasmrt.IsolationClean, InstanceTTL: time.Nanosecond}},
			{"one is made by _initialize", wasmrt.Limits{Isolation: wasmrt.IsolationFresh}},
		} {
			options := moduleOptions(kind.limits)
			options.Functions = functions
			module, err := h.load(ctx, wasm, options)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", guest.name, err)
			}
			kept := kind.limits.InstanceTTL == 0 && kind.limits.Isolation == wasmrt.IsolationClean
			rows = append(rows, &row{name: guest.name + ", " + kind.name, callers: 1, take: events(callAfterPause(module, kept))})
		}
	}
	if err := b.measure(ctx, rows, 20, 125*time.Millisecond); err != nil {
		return nil, err
	}
	for kinds := rows[:6]; len(kinds) > 0; kinds = kinds[3:] {
		image := excess(kinds[1].name+", less the idle one", kinds[1], kinds[0])
		image.aims = []aim{{of: p50, bound: 500}}
		rows = append(rows, image, excess(kinds[2].name+", less the idle one", kinds[2], kinds[0]))
	}
	return rows, nil
}

// callAfterPause makes a call after a pause in which the module keeps an idle
// instance, or must have given it up. The pause is not measured.
func callAfterPause(module *wasmrt.Module, kept bool) timed {
	return func(ctx context.Context) (time.Duration, error) {
		ticker := time.NewTicker(pause)
		defer ticker.Stop()
		// Once more after the last is gone, as it is still being closed.
		for waiting := true; waiting; {
			waiting = !kept && module.Stats().Idle > 0
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return 0, context.Cause(ctx)
			}
		}
		if idle := module.Stats().Idle > 0; idle != kept {
			return 0, fmt.Errorf("that an instance is idle is %v, want %v", idle, kept)
		}
		ctx, cancel := context.WithTimeout(ctx, replyTimeout)
		defer cancel()
		begin := time.Now()
		_, err := module.Call(ctx, declined, nil)
		took := time.Since(begin)
		var refusal *wasmrt.PluginError
		if !errors.As(err, &refusal) {
			return 0, fmt.Errorf("%s: want a plugin's error, got %w", declined, err)
		}
		return took, nil
	}
}
