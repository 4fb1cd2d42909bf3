package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pluginhost/pluginhost/wasmrt"
)

// wasmSection measures calls into a guest, without NATS and a replica.
func wasmSection() section {
	return section{
		name: "wasm", title: "The wasm call alone: call and restore",
		shows: []quantity{p50, p99, perSecond, cpu},
		run:   measureWasm,
	}
}

func measureWasm(ctx context.Context, b *bench) (_ []*row, err error) {
	noop, err := b.guest(ctx, guestNoop)
	if err != nil {
		return nil, err
	}
	agent, err := b.guest(ctx, guestAgent)
	if err != nil {
		return nil, err
	}
	body, err := request().MarshalVT()
	if err != nil {
		return nil, fmt.Errorf("encode the request: %w", err)
	}
	functions, err := upstream()
	if err != nil {
		return nil, err
	}
	h, err := openHost(b.cache())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, h.close(context.WithoutCancel(ctx))) }()

	small, err := h.callRow(ctx, "handmade, clean", handmade(nil), moduleOptions(wasmrt.Limits{}), body)
	if err != nil {
		return nil, err
	}
	noops, err := h.kinds(ctx, "Go no-op", noop, nil, body)
	if err != nil {
		return nil, err
	}
	agents, err := h.kinds(ctx, "agent", agent, functions, body)
	if err != nil {
		return nil, err
	}
	for _, r := range []*row{small, noops[0]} {
		r.aims = []aim{{of: p50, bound: 15}}
	}
	rows := slices.Concat([]*row{small}, noops, agents)
	return rows, b.measure(ctx, rows, 20, 125*time.Millisecond)
}

// kinds are rows of one guest, one for each isolation.
func (h *host) kinds(ctx context.Context, guest string, wasm []byte, functions []wasmrt.HostFunction, body []byte) ([]*row, error) {
	var rows []*row
	for _, isolation := range []wasmrt.Isolation{wasmrt.IsolationClean, wasmrt.IsolationReuse, wasmrt.IsolationFresh} {
		options := moduleOptions(wasmrt.Limits{Isolation: isolation})
		options.Functions = functions
		r, err := h.callRow(ctx, guest+", "+string(isolation), wasm, options, body)
		if err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// callRow loads a guest and is a row that calls it.
func (h *host) callRow(ctx context.Context, name string, wasm []byte, options wasmrt.Options, body []byte) (*row, error) {
	module, err := h.load(ctx, wasm, options)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &row{name: name, callers: 1, take: calls(1, repeat(moduleAnswers(module), body))}, nil
}
