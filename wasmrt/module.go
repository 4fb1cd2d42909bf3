package wasmrt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

// Isolation says what an instance keeps from one call to the next.
type Isolation string

const (
	// IsolationReuse keeps everything: an instance serves many calls, one after
	// the other.
	IsolationReuse Isolation = "reuse"
	// IsolationFresh keeps nothing: every call gets an instance of its own.
	IsolationFresh Isolation = "fresh"
)

const (
	pageSize = 64 << 10
	// maxMemory is what 32-bit addresses reach.
	maxMemory = 4 << 30
	// apiVersion is what the version export of every service returns.
	apiVersion = 1
)

// Limits bound what one module may use. The zero value of each field is its
// default.
type Limits struct {
	// Isolation defaults to IsolationReuse.
	Isolation Isolation
	// PoolSize is how many idle instances are kept. Defaults to 8.
	PoolSize int
	// InstanceTTL is how long an idle instance is kept. Defaults to 1 minute.
	InstanceTTL time.Duration
	// MaxConcurrent is how many calls run at once. Defaults to 10.
	MaxConcurrent int
	// Queue is how many calls may wait. Defaults to 256; negative is none.
	Queue int
	// MaxMemory is what one guest may use, in bytes, rounded down to pages of
	// 64 KiB. Defaults to 256 MiB.
	MaxMemory int64
	// MaxResult is how long a result may be, in bytes. Defaults to 64 MiB.
	MaxResult int
}

func (l Limits) withDefaults() Limits {
	if l.Isolation == "" {
		l.Isolation = IsolationReuse
	}
	if l.PoolSize <= 0 {
		l.PoolSize = 8
	}
	if l.InstanceTTL <= 0 {
		l.InstanceTTL = time.Minute
	}
	if l.MaxConcurrent <= 0 {
		l.MaxConcurrent = 10
	}
	if l.Queue == 0 {
		l.Queue = 256
	}
	if l.MaxMemory <= 0 {
		l.MaxMemory = 256 << 20
	}
	l.MaxMemory = min(l.MaxMemory, maxMemory)
	if l.MaxResult <= 0 {
		l.MaxResult = 64 << 20
	}
	return l
}

// pages is MaxMemory in the unit of WebAssembly.
func (l Limits) pages() uint32 { return uint32(l.MaxMemory / pageSize) }

// Service is a set of exports that a guest must have.
type Service struct {
	// VersionExport returns the version of the binary interface.
	VersionExport string
	// Methods are the exports that can be called.
	Methods []string
}

// Options say how to load a module.
type Options struct {
	// Services are what the guest must export.
	Services []Service
	// Functions are what the guest may import from env, and nothing else.
	Functions []HostFunction
	// Limits bound the guest.
	Limits Limits
	// Logger receives what the guest writes. Defaults to slog.Default().
	Logger *slog.Logger
}

// Stats counts the instances and callers of a module.
type Stats struct {
	Idle    int `json:"idle"`
	Running int `json:"running"`
	Waiting int `json:"waiting"`
}

// Module is one plugin in memory. Its methods may be called concurrently.
type Module struct {
	runtime  wazero.Runtime
	compiled wazero.CompiledModule
	services []Service
	limits   Limits
	output   *output
	pool     *pool

	stopSweep context.CancelFunc
	swept     sync.WaitGroup
}

// Load compiles wasm, checks what it imports and exports, and makes a first
// instance, which is kept. What is wrong with the module is a *LoadError. The
// caller closes the module.
func (r *Runtime) Load(ctx context.Context, wasm []byte, options Options) (*Module, error) {
	if options.Logger == nil {
		options.Logger = r.config.Logger
	}
	m := &Module{
		services: options.Services,
		limits:   options.Limits.withDefaults(),
		output:   newOutput(options.Logger),
	}
	m.pool = newPool(m.limits, m.newInstance)
	// wazero's own check: it stops loops, not recursion.
	m.runtime = wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().
		WithCompilationCache(r.cache).
		WithCloseOnContextDone(true).
		WithMemoryLimitPages(m.limits.pages()))
	err := r.prepare(ctx, m, wasm, options.Functions)
	if err != nil {
		return nil, errors.Join(err, m.release(context.WithoutCancel(ctx)))
	}
	m.sweep()
	return m, nil
}

func (r *Runtime) prepare(ctx context.Context, m *Module, wasm []byte, functions []HostFunction) error {
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, m.runtime); err != nil {
		return fmt.Errorf("wasi: %w", err)
	}
	if err := instantiateEnv(ctx, m.runtime, functions); err != nil {
		return fmt.Errorf("env: %w", err)
	}
	compiled, err := r.compile(ctx, m.runtime, wasm, m.limits)
	if err != nil {
		return err
	}
	m.compiled = compiled
	if err := m.checkImports(functions); err != nil {
		return err
	}
	if err := m.checkExports(); err != nil {
		return err
	}
	return m.tryOut(ctx, r.config.CompileTimeout)
}

func (m *Module) checkImports(functions []HostFunction) error {
	wasi := m.runtime.Module(wasi_snapshot_preview1.ModuleName).ExportedFunctionDefinitions()
	for _, definition := range m.compiled.ImportedFunctions() {
		module, name, _ := definition.Import()
		known := false
		switch module {
		case wasi_snapshot_preview1.ModuleName:
			_, known = wasi[name]
		case envModule:
			known = slices.ContainsFunc(functions, func(f HostFunction) bool { return f.Name == name })
		default:
		}
		if !known {
			return &LoadError{Err: &MissingImportError{module, name}}
		}
	}
	if memories := m.compiled.ImportedMemories(); len(memories) > 0 {
		return &LoadError{errors.New("the module imports its memory"), "export a memory of its own as \"memory\""}
	}
	return nil
}

var (
	i32 = api.ValueTypeI32
	i64 = api.ValueTypeI64
)

func (m *Module) checkExports() error {
	exports := m.compiled.ExportedFunctions()
	if exports["_start"] != nil && exports["_initialize"] == nil {
		return &LoadError{
			errors.New("the module is a program, not a library: it exports _start and no _initialize"),
			"with Go, build it with -buildmode=c-shared",
		}
	}
	if _, ok := m.compiled.ExportedMemories()["memory"]; !ok {
		return notExported("memory")
	}
	for _, service := range m.services {
		if err := m.checkExport(service.VersionExport, nil, []api.ValueType{i64}); err != nil {
			return err
		}
		for _, method := range service.Methods {
			if err := m.checkExport(method, []api.ValueType{i32, i32}, []api.ValueType{i64}); err != nil {
				return err
			}
		}
	}
	if err := m.checkExport("malloc", []api.ValueType{i32}, []api.ValueType{i32}); err != nil {
		return err
	}
	return m.checkExport("free", []api.ValueType{i32}, nil)
}

func (m *Module) checkExport(name string, params, results []api.ValueType) error {
	definition, ok := m.compiled.ExportedFunctions()[name]
	if !ok {
		return notExported(name)
	}
	if !slices.Equal(definition.ParamTypes(), params) || !slices.Equal(definition.ResultTypes(), results) {
		return &LoadError{
			fmt.Errorf("invalid %s signature", name),
			fmt.Sprintf("the contract wants (%s) -> (%s)", typeNames(params), typeNames(results)),
		}
	}
	return nil
}

func typeNames(types []api.ValueType) string {
	var b bytes.Buffer
	for i, t := range types {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(api.ValueTypeName(t))
	}
	return b.String()
}

func notExported(name string) error {
	return &LoadError{
		fmt.Errorf("%s is not exported", name),
		"the module must export memory, malloc, free and every method of the capabilities in its manifest; with the Go SDK, build with -buildmode=c-shared",
	}
}

// tryOut makes the first instance and asks for its versions.
func (m *Module) tryOut(ctx context.Context, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var versionErr error
	err := m.pool.with(ctx, func(inst *instance) bool {
		versionErr = m.checkVersions(ctx, inst)
		return versionErr == nil
	})
	if err != nil {
		hint := ""
		if errors.Is(err, ErrDeadline) {
			hint = fmt.Sprintf("it took longer than [Runtime] CompileTimeout (%v)", timeout)
		}
		return &LoadError{fmt.Errorf("the module does not initialise: %w", err), hint}
	}
	return versionErr
}

func (m *Module) checkVersions(ctx context.Context, inst *instance) error {
	for _, service := range m.services {
		result, err := inst.module.ExportedFunction(service.VersionExport).Call(inst.begin(ctx))
		inst.end()
		if err != nil {
			return &LoadError{fmt.Errorf("%s: %w", service.VersionExport, err), ""}
		}
		if result[0] != apiVersion {
			return &LoadError{
				fmt.Errorf("API version mismatch, host: %d, plugin: %d", apiVersion, result[0]),
				"build the plugin against this version of the contract",
			}
		}
	}
	return nil
}

// sweep closes idle instances that have outlived their TTL, until the module is
// closed.
func (m *Module) sweep() {
	ctx, cancel := context.WithCancel(context.Background())
	m.stopSweep = cancel
	m.swept.Go(func() {
		ticker := time.NewTicker(max(m.limits.InstanceTTL/3, time.Millisecond))
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				m.pool.expire(ctx)
			case <-ctx.Done():
				return
			}
		}
	})
}

// Call runs one method of a guest with the bytes of a request and returns those
// of the response. The deadline of ctx bounds it, waiting included. Errors are
// ErrOverloaded, ErrClosed and ErrDeadlineInQueue, after which nothing ran, and
// ErrDeadline, *PluginError, *CrashError, *HostError and *ResultSizeError.
func (m *Module) Call(ctx context.Context, method string, request []byte) ([]byte, error) {
	var response []byte
	var callErr error
	err := m.pool.with(ctx, func(inst *instance) bool {
		response, callErr = inst.call(ctx, method, request)
		var plugin *PluginError
		var size *ResultSizeError
		// At its deadline wazero may close the module just after the call.
		return ctx.Err() == nil && (callErr == nil || errors.As(callErr, &plugin) || errors.As(callErr, &size))
	})
	if err != nil {
		return nil, err
	}
	return response, callErr
}

// Stats returns how many instances and callers there are now.
func (m *Module) Stats() Stats { return m.pool.stats() }

// Close refuses new calls with ErrClosed, waits for those that were accepted,
// or until ctx is over, and releases everything.
func (m *Module) Close(ctx context.Context) error {
	err := m.pool.close(ctx)
	m.stopSweep()
	m.swept.Wait()
	return errors.Join(err, m.release(context.WithoutCancel(ctx)))
}

// release frees instances and machine code; the shared cache would keep the
// code.
func (m *Module) release(ctx context.Context) error {
	err := m.runtime.Close(ctx)
	if m.compiled != nil {
		err = errors.Join(err, m.compiled.Close(ctx))
	}
	return err
}
