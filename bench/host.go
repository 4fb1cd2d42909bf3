package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/pluginhost/pluginhost/wasmrt"
)

// host is a wasm runtime with modules in it.
type host struct {
	runtime *wasmrt.Runtime
	modules []*wasmrt.Module
}

// openHost starts a runtime that keeps compiled code in the folder cache. The
// caller closes it.
func openHost(cache string) (*host, error) {
	runtime, err := wasmrt.New(wasmrt.Config{CacheDir: cache, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, fmt.Errorf("wasm runtime: %w", err)
	}
	return &host{runtime: runtime}, nil
}

// load loads a module, which is closed with the host.
func (h *host) load(ctx context.Context, wasm []byte, options wasmrt.Options) (*wasmrt.Module, error) {
	module, err := h.runtime.Load(ctx, wasm, options)
	if err == nil {
		h.modules = append(h.modules, module)
	}
	return module, err
}

func (h *host) close(ctx context.Context) error {
	var errs []error
	for _, module := range h.modules {
		errs = append(errs, module.Close(ctx))
	}
	return errors.Join(append(errs, h.runtime.Close(ctx))...)
}

// answerer runs the method of a guest that everything here calls.
type answerer func(ctx context.Context, request []byte) ([]byte, error)

// moduleAnswers runs it through wasmrt.
func moduleAnswers(module *wasmrt.Module) answerer {
	return func(ctx context.Context, request []byte) ([]byte, error) { return module.Call(ctx, export, request) }
}

// repeat makes the same request each time. As over NATS, every call has a
// deadline.
func repeat(answer answerer, request []byte) call {
	return func(ctx context.Context, _ int) error {
		ctx, cancel := context.WithTimeout(ctx, replyTimeout)
		defer cancel()
		_, err := answer(ctx, request)
		return err
	}
}

// compare is repeat where every answer must be want.
func compare(answer answerer, request, want []byte) call {
	return repeat(func(ctx context.Context, request []byte) ([]byte, error) {
		got, err := answer(ctx, request)
		if err == nil && !bytes.Equal(got, want) {
			err = fmt.Errorf("answer %q, want %q", got, want)
		}
		return got, err
	}, request)
}
