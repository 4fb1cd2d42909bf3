package wasmrt

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/pluginhost/pluginhost/wasmrt/internal/rewrite"
)

// Config configures a Runtime. The zero value is usable.
type Config struct {
	// CacheDir is the folder for compiled code, created if missing. Empty keeps
	// compiled code in memory only.
	CacheDir string
	// CacheSize bounds the folder, in bytes: the oldest files go first, but none whose
	// code a module runs that a Compiler has compiled and this Runtime has loaded. 0 is no bound.
	CacheSize int64
	// KeepUntilTrimmed has nothing removed from the folder before TrimCache is called
	// first: what was loaded before this start is not known yet.
	KeepUntilTrimmed bool
	// CompileTimeout bounds one compilation. Defaults to 1 minute.
	CompileTimeout time.Duration
	// HostMemory bounds the memory of all guests, their code and images, and of the
	// calls that wait for them, together, in bytes. One plugin has at most half, and the
	// last eighth is for plugins that have little. Defaults to 2 GiB; negative is no
	// bound.
	HostMemory int64
	// CompileWorkers is how many modules are compiled at once. Defaults to 2.
	CompileWorkers int
	// Compiler compiles modules in processes of their own, for which CacheDir is
	// needed. Nil compiles in this process, for modules of one's own: nothing bounds
	// the memory for that, and CompileTimeout is only looked at between functions.
	Compiler Compiler
	// CompileMemory bounds what the Compiler may use for one module, in bytes.
	// Defaults to 512 MB (512,000,000).
	CompileMemory int64
	// Logger receives warnings. Defaults to slog.Default().
	Logger *slog.Logger
}

// Runtime is what the plugins of a process share.
type Runtime struct {
	config     Config
	cache      wazero.CompilationCache
	compiling  chan struct{} // a token for each module that is compiled or read here
	queue      *compileQueue // of those for the Compiler
	verdicts   *verdicts
	trimming   sync.RWMutex // held by those who need what is in the cache folder
	loaded     loadedCode
	budget     *budget
	isolator   isolator
	clock      clock
	processors *processors

	mu      sync.Mutex
	modules map[*Module]struct{}
	keeping bool // TrimCache was not called yet
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
	if config.CompileMemory <= 0 {
		config.CompileMemory = 512_000_000
	}
	if config.Compiler != nil && config.CacheDir == "" {
		return nil, errors.New("a Compiler needs a CacheDir")
	}
	if config.Logger == nil {
		config.Logger = slog.Default()
	}
	if config.HostMemory == 0 {
		config.HostMemory = 2 << 30
	}
	r := &Runtime{
		config:     config,
		compiling:  make(chan struct{}, config.CompileWorkers),
		queue:      newCompileQueue(config.CompileWorkers),
		budget:     &budget{limit: max(config.HostMemory, 0), accounts: make(map[string]*account)},
		isolator:   newIsolator(),
		clock:      realClock{time.Now().Add(-time.Second)}, // a guest may take 0 for no time
		processors: newProcessors(max(1, runtime.GOMAXPROCS(0)-1)),
		modules:    make(map[*Module]struct{}),
		keeping:    config.KeepUntilTrimmed,
		busy:       make(map[[sha256.Size]byte]chan struct{}),
	}
	r.budget.reclaim = r.reclaim
	config.Logger.Debug("how guests are restored", "by", r.isolator.name)
	if err := r.openCache(); err != nil {
		return nil, errors.Join(err, r.isolator.close())
	}
	return r, nil
}

// openCache opens the cache of compiled code.
func (r *Runtime) openCache() (err error) {
	config := r.config
	if config.CacheDir == "" {
		r.cache = wazero.NewCompilationCache()
		return nil
	}
	if config.CacheDir, err = filepath.Abs(config.CacheDir); err != nil { // a Compiler works elsewhere
		return fmt.Errorf("compile cache: %w", err)
	}
	r.config.CacheDir, r.verdicts = config.CacheDir, newVerdicts(config.CacheDir)
	if err := os.MkdirAll(config.CacheDir, 0o700); err != nil {
		return fmt.Errorf("compile cache: %w", err)
	}
	if err := dropLeft(config.CacheDir, config.CompileTimeout); err != nil {
		return fmt.Errorf("compile cache: %w", err)
	}
	if !config.KeepUntilTrimmed {
		if _, err := trimCache(config.CacheDir, config.CacheSize, nil); err != nil {
			return fmt.Errorf("compile cache: %w", err)
		}
	}
	if r.cache, err = wazero.NewCompilationCacheWithDir(config.CacheDir); err != nil {
		return fmt.Errorf("compile cache: %w", err)
	}
	return nil
}

// Close releases compiled code. The modules of the Runtime must be closed.
func (r *Runtime) Close(ctx context.Context) error {
	r.mu.Lock()
	left := len(r.modules)
	r.mu.Unlock()
	if left > 0 {
		return fmt.Errorf("%d modules are still in use: nothing was released", left)
	}
	return errors.Join(r.cache.Close(ctx), r.isolator.close())
}

// Memory returns how many bytes the guests of all modules use together, and how
// many they may; 0 is no bound.
func (r *Runtime) Memory() (used, limit int64) { return r.budget.used.Load(), r.budget.limit }

// Hold charges a plugin for bytes of memory that the caller keeps for it, until release is
// called. The error is ErrPluginMemory or ErrHostMemory.
func (r *Runtime) Hold(plugin string, bytes int64) (release func(), err error) {
	a := r.budget.open(plugin)
	if err := a.reserve(bytes); err != nil {
		a.close()
		return nil, err
	}
	return func() {
		a.release(bytes)
		a.close()
	}, nil
}

// reclaim closes idle instances, of one account or, with nil, of all, to free n bytes.
// Where they have less together it leaves them alone and reports false.
func (r *Runtime) reclaim(n int64, of *account) bool {
	r.mu.Lock()
	modules := slices.Collect(maps.Keys(r.modules))
	r.mu.Unlock()
	if of != nil {
		modules = slices.DeleteFunc(modules, func(m *Module) bool { return m.account != of })
	}
	var idle int64
	for _, m := range modules {
		idle += m.pool.idleBytes()
	}
	if idle < n {
		return false
	}
	for _, m := range modules {
		if n > 0 {
			n -= m.pool.reclaim(context.Background(), n)
		}
	}
	return n <= 0
}

func (r *Runtime) add(m *Module) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.modules[m] = struct{}{}
}

func (r *Runtime) remove(m *Module) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.modules, m)
}

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

// parse reads a module and writes it again as it will run.
func parse(wasm []byte, limits Limits) (*rewrite.Module, error) {
	if len(wasm) < 4 || !bytes.Equal(wasm[:4], []byte("\x00asm")) {
		return nil, &LoadError{
			fmt.Errorf("not a WebAssembly module: it begins with %q", wasm[:min(4, len(wasm))]),
			"build it with GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o plugin.wasm",
		}
	}
	module, err := rewrite.Rewrite(wasm, rewrite.Options{Image: limits.Isolation == IsolationClean})
	if err != nil {
		return nil, &LoadError{fmt.Errorf("not a valid WebAssembly module: %w", err), "the file is damaged or cut short, or uses a feature beyond WebAssembly 2.0: build or copy it again"}
	}
	if need := int64(module.Memory.Min) * pageSize; need > limits.MaxMemory {
		return nil, &LoadError{fmt.Errorf("the module starts with %d bytes of memory, it may have %d", need, limits.MaxMemory), "raise [Runtime] MaxMemory for it"}
	}
	return module, nil
}

// compile translates wasm to machine code, or finds it in the cache, where it stays until
// drop is called.
func (r *Runtime) compile(ctx context.Context, engine wazero.Runtime, wasm []byte, limits Limits, options Options) (_ wazero.CompiledModule, drop func(), err error) {
	drop = func() {}
	release, err := r.claim(ctx, sha256.Sum256(wasm))
	if err != nil {
		return nil, drop, err
	}
	defer release()
	if r.config.Compiler != nil {
		return r.read(ctx, engine, wasm, limits, options)
	}
	compiled, err := r.compileHere(ctx, engine, wasm, limits)
	return compiled, drop, err
}

// compileHere compiles in this process.
func (r *Runtime) compileHere(ctx context.Context, engine wazero.Runtime, wasm []byte, limits Limits) (wazero.CompiledModule, error) {
	done, err := r.compileSlot(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	ctx, cancel := context.WithTimeoutCause(ctx, r.config.CompileTimeout, errCompileTimeout)
	defer cancel()
	ctx = experimental.WithCompilationWorkers(ctx, compileGoroutines)
	compiled, err := compileModule(ctx, engine, wasm)
	if isDiskFault(err) { // emptying the cache would not help
		return nil, r.cacheError(err)
	}
	if err != nil && r.config.CacheDir != "" && ctx.Err() == nil && valid(ctx, wasm, limits) {
		r.config.Logger.Warn("compile cache is damaged: it is emptied", "dir", r.config.CacheDir, "error", err)
		if compiled, err = r.compileAnew(ctx, engine, wasm); err != nil && ctx.Err() == nil {
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
		return nil, &LoadError{&ModuleError{err}, invalidHint}
	}
}

// compileAnew compiles without what is in the cache.
func (r *Runtime) compileAnew(ctx context.Context, engine wazero.Runtime, wasm []byte) (wazero.CompiledModule, error) {
	if err := emptyCache(r.config.CacheDir); err != nil {
		return nil, err
	}
	return compileModule(ctx, engine, wasm)
}
