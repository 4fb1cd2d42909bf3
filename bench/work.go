package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tetratelabs/wazero"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/wasmrt"
)

// workSection measures what it costs a guest that computes to be stoppable.
func workSection() section {
	return section{
		name: "work", title: "A guest that computes: our check, wazero's, none", baseline: "none",
		shows: []quantity{p50, p50Ratio},
		run:   measureWork,
	}
}

func measureWork(ctx context.Context, b *bench) (_ []*row, err error) {
	wasm, err := b.guest(ctx, guestWork)
	if err != nil {
		return nil, err
	}
	h, err := openHost(b.cache())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, h.close(context.WithoutCancel(ctx))) }()
	module, err := h.load(ctx, wasm, moduleOptions(wasmrt.Limits{Isolation: wasmrt.IsolationReuse}))
	if err != nil {
		return nil, fmt.Errorf("load the plugin work: %w", err)
	}
	none, err := openBare(ctx, b.cache(), wasm, wazero.NewRuntimeConfig())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, none.close(context.WithoutCancel(ctx))) }()
	theirs, err := openBare(ctx, b.cache(), wasm, wazero.NewRuntimeConfig().WithCloseOnContextDone(true))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, theirs.close(context.WithoutCancel(ctx))) }()
	ours := moduleAnswers(module)

	var rows []*row
	for _, kind := range []string{"loop", "sort", "json", "calls"} {
		body, err := (&api.ArtistBiographyRequest{Name: kind}).MarshalVT()
		if err != nil {
			return nil, fmt.Errorf("encode the request: %w", err)
		}
		want, err := none.answer(ctx, body)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", kind, err)
		}
		baseline := &row{name: kind + ", no check", callers: 1, take: calls(1, compare(none.answer, body, want))}
		rows = append(rows, baseline,
			&row{name: kind + ", our check", callers: 1, take: calls(1, compare(ours, body, want)), against: baseline},
			&row{name: kind + ", wazero's check", callers: 1, take: calls(1, compare(theirs.answer, body, want)), against: baseline})
	}
	return rows, b.measure(ctx, rows, 10, 120*time.Millisecond)
}
