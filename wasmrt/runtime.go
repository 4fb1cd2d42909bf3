package wasmrt

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/experimental"
)

// Config configures a Runtime. The zero value is usable.
type Config struct {
	// CacheDir is the folder for compiled code, created if missing. Empty keeps
	// compiled code in memory only.
	CacheDir string
	// CacheSize bounds the folder, in bytes: the oldest files go first. 0 is no
	// bound.
	CacheSize int64
	// CompileTimeout bounds one compilation. Defaults to 1 minute.
	CompileTimeout time.Duration
	// CompileWorkers is how many modules are compiled at once. Defaults to 2.
	CompileWorkers int
	// Logger receives warnings. Defaults to slog.Default().
	Logger *slog.Logger
}

// Runtime is what the plugins of a process share.
type Runtime struct {
	config    Config
	cache     wazero.CompilationCache
	compiling chan struct{}

	mu sync.Mutex
	// busy are the modules that are being compiled, by the hash of their bytes;
	// each channel is closed when that is over.
	busy map[[sha256.Size]byte]chan struct{}
}

// New returns a Runtime, which the caller closes after its modules.
func New(config Config) (*Runtime, error) {
	if config.CompileTimeout <= 0 {
		config.CompileTimeout = time.Minute
	}
	if config.CompileWorkers <= 0 {
		config.CompileWorkers = 2
	}
	if config.Logger == nil {
		config.Logger = slog.Default()
	}
	r := &Runtime{config: config, compiling: make(chan struct{}, config.CompileWorkers), busy: make(map[[sha256.Size]byte]chan struct{})}
	if config.CacheDir == "" {
		r.cache = wazero.NewCompilationCache()
		return r, nil
	}
	if err := os.MkdirAll(config.CacheDir, 0o700); err != nil {
		return nil, fmt.Errorf("compile cache: %w", err)
	}
	if err := trimCache(config.CacheDir, config.CacheSize); err != nil {
		return nil, fmt.Errorf("compile cache: %w", err)
	}
	cache, err := wazero.NewCompilationCacheWithDir(config.CacheDir)
	if err != nil {
		return nil, fmt.Errorf("compile cache: %w", err)
	}
	r.cache = cache
	return r, nil
}

// Close releases compiled code. The modules of the Runtime must be closed.
func (r *Runtime) Close(ctx context.Context) error { return r.cache.Close(ctx) }

// compileSlot waits until one more module may be compiled; the caller runs done
// afterwards.
func (r *Runtime) compileSlot(ctx context.Context) (done func(), err error) {
	select {
	case r.compiling <- struct{}{}:
		return func() { <-r.compiling }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting to compile: %w", context.Cause(ctx))
	}
}

// claim waits until nobody else compiles the same module; the caller runs
// release afterwards. wazero hands a module that it has just read from the disk
// cache to others before it is complete, and who else waits need not do the same
// work again.
func (r *Runtime) claim(ctx context.Context, module [sha256.Size]byte) (release func(), err error) {
	for {
		r.mu.Lock()
		busy, taken := r.busy[module]
		if !taken {
			over := make(chan struct{})
			r.busy[module] = over
			r.mu.Unlock()
			return func() {
				r.mu.Lock()
				delete(r.busy, module)
				r.mu.Unlock()
				close(over)
			}, nil
		}
		r.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting to compile: %w", context.Cause(ctx))
		}
	}
}

// compiled bounds the disk cache after something was added to it.
func (r *Runtime) compiled() {
	if err := trimCache(r.config.CacheDir, r.config.CacheSize); err != nil {
		r.config.Logger.Warn("compile cache could not be trimmed", "dir", r.config.CacheDir, "error", err)
	}
}

var errCompileTimeout = errors.New("compiling took too long")

// compile translates wasm to machine code, or finds it in the cache.
func (r *Runtime) compile(ctx context.Context, runtime wazero.Runtime, wasm []byte, limits Limits) (wazero.CompiledModule, error) {
	if len(wasm) < 4 || !bytes.Equal(wasm[:4], []byte("\x00asm")) {
		return nil, &LoadError{
			fmt.Errorf("not a WebAssembly module: it begins with %q", wasm[:min(4, len(wasm))]),
			"build it with GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o plugin.wasm",
		}
	}
	release, err := r.claim(ctx, sha256.Sum256(wasm))
	if err != nil {
		return nil, err
	}
	defer release()
	done, err := r.compileSlot(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	ctx, cancel := context.WithTimeoutCause(ctx, r.config.CompileTimeout, errCompileTimeout)
	defer cancel()
	// With one worker wazero does not look at the context.
	ctx = experimental.WithCompilationWorkers(ctx, 2)
	compiled, err := runtime.CompileModule(ctx, wasm)
	if err != nil && r.config.CacheDir != "" && ctx.Err() == nil && valid(ctx, wasm, limits) {
		r.config.Logger.Warn("compile cache is damaged: it is emptied", "dir", r.config.CacheDir, "error", err)
		if compiled, err = r.compileAnew(ctx, runtime, wasm); err != nil && ctx.Err() == nil {
			return nil, &LoadError{fmt.Errorf("compile cache %s: %w", r.config.CacheDir, err), "check the disk's space and the folder's permissions"}
		}
	}
	switch {
	case err == nil:
		r.compiled()
		return compiled, nil
	case errors.Is(context.Cause(ctx), errCompileTimeout):
		return nil, &LoadError{errCompileTimeout, fmt.Sprintf("CompileTimeout is %v: raise it, or build a smaller module", r.config.CompileTimeout)}
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	default:
		return nil, &LoadError{
			fmt.Errorf("not a valid WebAssembly module: %w", err),
			"the file is damaged, cut short, or needs more than [Runtime] MaxMemory: build or copy it again",
		}
	}
}

// compileAnew compiles without what is in the cache.
func (r *Runtime) compileAnew(ctx context.Context, runtime wazero.Runtime, wasm []byte) (wazero.CompiledModule, error) {
	if err := emptyCache(r.config.CacheDir); err != nil {
		return nil, err
	}
	return runtime.CompileModule(ctx, wasm)
}

// valid tells a module that is at fault from a cache that is: the interpreter
// uses none.
func valid(ctx context.Context, wasm []byte, limits Limits) bool {
	interpreter := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter().WithMemoryLimitPages(limits.pages()))
	_, err := interpreter.CompileModule(ctx, wasm)
	return errors.Join(err, interpreter.Close(ctx)) == nil
}
