package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/pluginhost/pluginhost/wasmrt"
)

// benchmarkWasm measures calls into a guest, without NATS and a replica.
func benchmarkWasm(ctx context.Context, dir string, guests guestSet, p plan) (_ []result, err error) {
	runtime, err := wasmrt.New(wasmrt.Config{CacheDir: filepath.Join(dir, "compiled"), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, fmt.Errorf("wasm runtime: %w", err)
	}
	defer func() { err = errors.Join(err, runtime.Close(context.WithoutCancel(ctx))) }()
	body, err := request().MarshalVT()
	if err != nil {
		return nil, fmt.Errorf("encode the request: %w", err)
	}
	rows := []*row{{name: "wasm call, handmade"}, {name: "wasm call, Go"}, {name: "wasm call, Go, isolation fresh"}}
	for i, how := range []struct {
		wasm      []byte
		isolation wasmrt.Isolation
	}{{guests.handmade, wasmrt.IsolationReuse}, {guests.compiled, wasmrt.IsolationReuse}, {guests.compiled, wasmrt.IsolationFresh}} {
		module, err := runtime.Load(ctx, how.wasm, moduleOptions(how.isolation))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", rows[i].name, err)
		}
		defer func() { err = errors.Join(err, module.Close(context.WithoutCancel(ctx))) }()
		rows[i].callers = 1
		rows[i].do = func(ctx context.Context, _ int) error {
			// As over NATS, every call has a deadline.
			ctx, cancel := context.WithTimeout(ctx, replyTimeout)
			defer cancel()
			_, err := module.Call(ctx, export, body)
			return err
		}
	}
	if err := measureRows(ctx, rows, p.rounds, p.length/2); err != nil {
		return nil, err
	}
	results := make([]result, 0, len(rows)+1)
	for _, r := range rows {
		results = append(results, r.result())
	}
	reuse, fresh := rows[1], rows[2]
	fresh.against = reuse
	results = append(results, result{
		Name: "new instance, Go",
		P50:  fresh.compared(func(own, other sample) float64 { return p50Of(own) - p50Of(other) }),
	})
	return results, nil
}

// benchmarkLoad measures how long a guest takes from bytes to its first
// instance: compiled, and from the disk cache.
func benchmarkLoad(ctx context.Context, dir string, guests guestSet, p plan) ([]result, error) {
	var cold, cached []float64
	for range p.loads {
		cache, err := os.MkdirTemp(dir, "cache")
		if err != nil {
			return nil, fmt.Errorf("compile cache: %w", err)
		}
		for _, took := range []*[]float64{&cold, &cached} {
			d, err := load(ctx, cache, guests.compiled)
			if err != nil {
				return nil, err
			}
			*took = append(*took, microseconds(d))
		}
		if err := os.RemoveAll(cache); err != nil {
			return nil, fmt.Errorf("compile cache: %w", err)
		}
	}
	return []result{
		{Name: "load, Go, nothing cached", P50: figureOf(cold)},
		{Name: "load, Go, compiled on disk", P50: figureOf(cached)},
	}, nil
}

// load is one load in a runtime of its own, which remembers nothing.
func load(ctx context.Context, cache string, wasm []byte) (took time.Duration, err error) {
	runtime, err := wasmrt.New(wasmrt.Config{CacheDir: cache, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return 0, fmt.Errorf("wasm runtime: %w", err)
	}
	defer func() { err = errors.Join(err, runtime.Close(context.WithoutCancel(ctx))) }()
	start := time.Now()
	module, err := runtime.Load(ctx, wasm, moduleOptions(wasmrt.IsolationReuse))
	if err != nil {
		return 0, fmt.Errorf("load the plugin noop: %w", err)
	}
	took = time.Since(start)
	return took, module.Close(context.WithoutCancel(ctx))
}
