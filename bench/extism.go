package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	extism "github.com/extism/go-sdk"
	"github.com/tetratelabs/wazero"

	"github.com/pluginhost/pluginhost/wasmrt"
)

// extismExport is the method of guestExtism.
const extismExport = "get_artist_biography"

// extismSection measures the same no-op through Extism's SDK.
func extismSection() section {
	return section{
		name: "extism", title: "The same no-op through Extism's Go SDK", baseline: "ours",
		shows: []quantity{p50, p99, perSecond, p50Ratio, cpu},
		run:   measureExtism,
	}
}

func measureExtism(ctx context.Context, b *bench) (_ []*row, err error) {
	noop, err := b.guest(ctx, guestNoop)
	if err != nil {
		return nil, err
	}
	body, err := request().MarshalVT()
	if err != nil {
		return nil, fmt.Errorf("encode the request: %w", err)
	}
	h, err := openHost(b.cache())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, h.close(context.WithoutCancel(ctx))) }()
	module, err := h.load(ctx, noop, moduleOptions(wasmrt.Limits{}))
	if err != nil {
		return nil, fmt.Errorf("load the plugin noop: %w", err)
	}
	want, err := moduleAnswers(module)(ctx, body)
	if err != nil {
		return nil, err
	}
	e, err := openExtism(ctx, b)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, e.close(context.WithoutCancel(ctx))) }()
	ours := &row{name: "ours, clean", callers: 1, take: calls(1, compare(moduleAnswers(module), body, want))}
	rows := []*row{
		ours,
		{name: "Extism, an instance for every call", callers: 1, take: calls(1, compare(e.answerNew, body, want)), against: ours},
		{name: "Extism, one instance for all", callers: 1, take: calls(1, compare(e.answerOne, body, want)), against: ours},
	}
	return rows, b.measure(ctx, rows, 15, 150*time.Millisecond)
}

// extismHost is a plugin in Extism's SDK.
type extismHost struct {
	cache    wazero.CompilationCache
	compiled *extism.CompiledPlugin
	plugin   *extism.Plugin // serves all calls of answerOne
}

// openExtism compiles the plugin. The caller closes it.
func openExtism(ctx context.Context, b *bench) (_ *extismHost, err error) {
	e := &extismHost{}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.close(context.WithoutCancel(ctx)))
		}
	}()
	wasm, err := b.guest(ctx, guestExtism)
	if err != nil {
		return nil, err
	}
	if e.cache, err = wazero.NewCompilationCacheWithDir(b.cache()); err != nil {
		return nil, fmt.Errorf("compile cache: %w", err)
	}
	manifest := extism.Manifest{
		Wasm: []extism.Wasm{extism.WasmData{Data: wasm}},
		// With a timeout, calls can be stopped, as ours can.
		Timeout: uint64(replyTimeout / time.Millisecond),
	}
	config := extism.PluginConfig{EnableWasi: true, RuntimeConfig: wazero.NewRuntimeConfig().WithCompilationCache(e.cache)}
	if e.compiled, err = extism.NewCompiledPlugin(ctx, manifest, config, nil); err != nil {
		return nil, fmt.Errorf("compile the plugin for Extism: %w", err)
	}
	e.plugin, err = e.instance(ctx)
	return e, err
}

func (e *extismHost) instance(ctx context.Context) (*extism.Plugin, error) {
	plugin, err := e.compiled.Instance(ctx, extism.PluginInstanceConfig{ModuleConfig: wazero.NewModuleConfig().WithSysNanotime().WithSysWalltime()})
	if err != nil {
		return nil, fmt.Errorf("instance for Extism: %w", err)
	}
	return plugin, nil
}

// answerOne calls the same instance again and again, for one caller.
func (e *extismHost) answerOne(ctx context.Context, request []byte) ([]byte, error) {
	return answerExtism(ctx, e.plugin, request)
}

// answerNew makes an instance for every call, and closes it.
func (e *extismHost) answerNew(ctx context.Context, request []byte) ([]byte, error) {
	plugin, err := e.instance(ctx)
	if err != nil {
		return nil, err
	}
	response, err := answerExtism(ctx, plugin, request)
	return response, errors.Join(err, plugin.Close(ctx))
}

func answerExtism(ctx context.Context, plugin *extism.Plugin, request []byte) ([]byte, error) {
	code, response, err := plugin.CallWithContext(ctx, extismExport, request)
	if err == nil && code != 0 {
		err = fmt.Errorf("code %d", code)
	}
	if err != nil {
		return nil, fmt.Errorf("call through Extism: %w", err)
	}
	return response, nil
}

func (e *extismHost) close(ctx context.Context) error {
	var errs []error
	if e.plugin != nil {
		errs = append(errs, e.plugin.Close(ctx))
	}
	if e.compiled != nil {
		errs = append(errs, e.compiled.Close(ctx))
	}
	if e.cache != nil {
		errs = append(errs, e.cache.Close(ctx))
	}
	return errors.Join(errs...)
}
