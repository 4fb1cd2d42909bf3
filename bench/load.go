package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/pluginhost/pluginhost/wasmrt"
)

// loadSection measures how long a guest takes from the bytes of its module to
// its first instance or answer.
func loadSection() section {
	return section{
		name: "load", title: "Loading an agent of 5 MB",
		shows: []quantity{took},
		run:   measureLoad,
	}
}

func measureLoad(ctx context.Context, b *bench) ([]*row, error) {
	wasm, err := b.guest(ctx, guestAgent)
	if err != nil {
		return nil, err
	}
	functions, err := upstream()
	if err != nil {
		return nil, err
	}
	options := moduleOptions(wasmrt.Limits{})
	options.Functions = functions
	compiled := &row{name: "load, compiled on disk", take: events(func(ctx context.Context) (time.Duration, error) {
		return load(ctx, b.cache(), wasm, options)
	})}
	first := &row{name: "first answer of a new process, compiled on disk", take: events(b.firstAnswer)}
	first.aims = []aim{{of: took, bound: 100_000}}
	if err := b.measure(ctx, []*row{compiled, first}, 10, 500*time.Millisecond); err != nil {
		return nil, err
	}
	// By itself: compiling takes seconds on all cores.
	cold := &row{name: "load, nothing cached", cold: true, take: events(func(ctx context.Context) (_ time.Duration, err error) {
		cache, err := os.MkdirTemp(b.dir, "cache")
		if err != nil {
			return 0, fmt.Errorf("compile cache: %w", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(cache)) }()
		return load(ctx, cache, wasm, options)
	})}
	if err := b.measure(ctx, []*row{cold}, 3, 0); err != nil {
		return nil, err
	}
	if b.plan.profiles != "" {
		err = profileRows(ctx, []*row{cold}, b.plan)
	}
	return []*row{cold, compiled, first}, err
}

// load opens a runtime of its own, which remembers nothing, and loads a module.
func load(ctx context.Context, cache string, wasm []byte, options wasmrt.Options) (took time.Duration, err error) {
	start := time.Now()
	h, err := openHost(cache)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, h.close(context.WithoutCancel(ctx))) }()
	if _, err := h.load(ctx, wasm, options); err != nil {
		return 0, fmt.Errorf("load the agent: %w", err)
	}
	return time.Since(start), nil
}
