package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

// bare is an instance of a guest in wazero alone, with the same binary interface
// as wasmrt has. It serves one call at a time.
type bare struct {
	cache                wazero.CompilationCache
	runtime              wazero.Runtime
	module               api.Module
	malloc, free, method api.Function
}

// openBare makes an instance of a guest that imports nothing but WASI. The
// caller closes it.
func openBare(ctx context.Context, cache string, wasm []byte, config wazero.RuntimeConfig) (_ *bare, err error) {
	i := &bare{}
	defer func() {
		if err != nil {
			err = fmt.Errorf("guest in wazero alone: %w", errors.Join(err, i.close(context.WithoutCancel(ctx))))
		}
	}()
	if i.cache, err = wazero.NewCompilationCacheWithDir(cache); err != nil {
		return nil, err
	}
	i.runtime = wazero.NewRuntimeWithConfig(ctx, config.WithCompilationCache(i.cache))
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, i.runtime); err != nil {
		return nil, err
	}
	compiled, err := i.runtime.CompileModule(ctx, wasm)
	if err != nil {
		return nil, err
	}
	start := wazero.NewModuleConfig().WithStartFunctions("_initialize").WithSysNanotime().WithSysWalltime()
	if i.module, err = i.runtime.InstantiateModule(ctx, compiled, start); err != nil {
		return nil, err
	}
	i.malloc, i.free, i.method = i.module.ExportedFunction("malloc"), i.module.ExportedFunction("free"), i.module.ExportedFunction(export)
	return i, nil
}

// answer runs the method and copies its result.
func (i *bare) answer(ctx context.Context, request []byte) ([]byte, error) {
	allocated, err := i.malloc.Call(ctx, uint64(len(request)))
	if err != nil {
		return nil, err
	}
	memory := i.module.Memory()
	if !memory.Write(uint32(allocated[0]), request) {
		return nil, errors.New("malloc returned an address beyond the memory")
	}
	packed, err := i.method.Call(ctx, allocated[0], uint64(len(request)))
	if err != nil {
		return nil, err
	}
	// The highest bit of the size marks an error, which no memory is long enough
	// for.
	result, ok := memory.Read(uint32(packed[0]>>32), uint32(packed[0]))
	if !ok {
		return nil, fmt.Errorf("result %#x is an error or beyond the memory", packed[0])
	}
	result = bytes.Clone(result)
	for _, address := range []uint64{allocated[0], packed[0] >> 32} {
		if _, err := i.free.Call(ctx, address); err != nil {
			return nil, err
		}
	}
	return result, nil
}

func (i *bare) close(ctx context.Context) error {
	var errs []error
	if i.runtime != nil {
		errs = append(errs, i.runtime.Close(ctx))
	}
	if i.cache != nil {
		errs = append(errs, i.cache.Close(ctx))
	}
	return errors.Join(errs...)
}
