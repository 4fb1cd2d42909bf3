package wasmrt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/tetratelabs/wazero"
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
	r := &Runtime{config: config, compiling: make(chan struct{}, config.CompileWorkers)}
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

// compiled bounds the disk cache after something was added to it.
func (r *Runtime) compiled() {
	if err := trimCache(r.config.CacheDir, r.config.CacheSize); err != nil {
		r.config.Logger.Warn("compile cache could not be trimmed", "dir", r.config.CacheDir, "error", err)
	}
}

var errCompileTimeout = errors.New("compiling took too long")
