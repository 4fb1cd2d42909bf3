package wasmrt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/experimental"
)

// Translate writes the machine code of a job into its folder, empties that before, and finds out
// what a Runtime will take to read it. A Compiler has it run in a process that does nothing else
// meanwhile: it bounds neither time nor memory. A module that is not valid is a *ModuleError, one
// at which the compiler fails, or whose machine code takes too much to read, a *CompileError.
func Translate(ctx context.Context, job Job) error {
	return translateToRead(ctx, job, readBounds{MaxReadTime, MaxReadMemory})
}

// readBounds are those on reading machine code.
type readBounds struct {
	time   time.Duration
	memory int64
}

// translateToRead is Translate with bounds.
func translateToRead(ctx context.Context, job Job, most readBounds) error {
	if err := clearFolder(job.Dir); err != nil { // of a try that was ended
		return err
	}
	decoded, err := translate(ctx, job)
	if err != nil {
		return explainFailure(ctx, job, err)
	}
	if decoded.isLittle(most) && codeSize(job.Dir) <= littleCode {
		return nil
	}
	// What compiling has left must not count, nor be there to be used again.
	runtime.GC() // runs the finalizers that unmap machine code
	runtime.GC()
	debug.FreeOSMemory()
	usage := beginUsage()
	err = readTranslated(ctx, job)
	took, memory := usage.end()
	switch {
	case err != nil:
		return fmt.Errorf("its machine code cannot be read: %w", err)
	case took > most.time:
		return &CompileError{CompileReading, fmt.Sprintf("its machine code takes %v to read, %v is the most", took, most.time)}
	case memory > most.memory:
		return &CompileError{CompileReading, fmt.Sprintf("its machine code takes %d bytes of memory to read, %d is the most", memory, most.memory)}
	}
	return nil
}

// clearFolder removes what is in a folder.
func clearFolder(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, entry := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, entry.Name())))
	}
	return err
}

// explainFailure tells a module that is at fault from a compiler that is, or a disk.
func explainFailure(ctx context.Context, job Job, err error) error {
	var failed *compilerPanic
	switch panicked := errors.As(err, &failed); {
	case errors.Is(err, syscall.ENOMEM):
		return &CompileError{CompileMemory, fmt.Sprintf("compiling took more memory than it may: %v", err)}
	case !valid(ctx, job.Module, Limits{MaxMemory: job.MaxMemory}.withDefaults()):
		return &ModuleError{err}
	case panicked:
		return &CompileError{CompileCrash, err.Error()}
	default:
		return fmt.Errorf("its machine code cannot be kept: %w", err)
	}
}

// translate also returns what was used before the first function was compiled.
func translate(ctx context.Context, job Job) (*decoding, error) {
	decoded := &decoding{Context: ctx, since: beginUsage()}
	return decoded, withEngine(ctx, job, func(engine wazero.Runtime) error {
		// Functions are compiled one beside the other. One of them may be most of the module.
		compiled, err := compileModule(experimental.WithCompilationWorkers(decoded, compileGoroutines), engine, job.Module)
		if err != nil {
			return err
		}
		return compiled.Close(ctx)
	})
}

func readTranslated(ctx context.Context, job Job) error {
	return withEngine(ctx, job, func(engine wazero.Runtime) error {
		compiled, err := readCode(ctx, engine, job.Module)
		if err != nil {
			return err
		}
		return compiled.Close(ctx)
	})
}

// withEngine has work done with an engine that knows of nothing but the job's folder.
func withEngine(ctx context.Context, job Job, work func(wazero.Runtime) error) error {
	cache, err := wazero.NewCompilationCacheWithDir(job.Dir)
	if err != nil {
		return err
	}
	engine := newEngine(ctx, cache, Limits{MaxMemory: job.MaxMemory}.withDefaults())
	return errors.Join(work(engine), engine.Close(ctx), cache.Close(ctx))
}

// newEngine is the engine of one module. Machine code fits one that was made the same way.
func newEngine(ctx context.Context, cache wazero.CompilationCache, limits Limits) wazero.Runtime {
	return wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().
		WithCompilationCache(cache).
		WithMemoryLimitPages(limits.runtimePages()))
}

// compileGoroutines is how many goroutines compile one module. With a single one wazero
// does not look at the context.
const compileGoroutines = 2

// readCode reads the machine code of a module from the cache, and never compiles: it is
// errNoCode where there is none. wazero looks at the context before it compiles a function,
// and not before it reads the cache.
func readCode(ctx context.Context, engine wazero.Runtime, module []byte) (wazero.CompiledModule, error) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	cancel(errNoCode)
	return compileModule(experimental.WithCompilationWorkers(ctx, compileGoroutines), engine, module)
}

// oneFunction is a module of one function without parameters, results and code.
const oneFunction = "\x00asm\x01\x00\x00\x00\x01\x04\x01\x60\x00\x00\x03\x02\x01\x00\x0a\x04\x01\x02\x00\x0b"

// interprets says whether wazero interprets modules: it does where memory may not become
// executable. What it makes of a module is kept nowhere then, and made each time.
func interprets() bool {
	ctx := context.Background()
	cache := wazero.NewCompilationCache()
	defer func() { _ = cache.Close(ctx) }() // nothing of it is of use
	engine := newEngine(ctx, cache, Limits{}.withDefaults())
	defer func() { _ = engine.Close(ctx) }()
	_, err := readCode(ctx, engine, []byte(oneFunction))
	return err == nil
}

// compileModule is CompileModule. wazero panics on some modules that are not
// valid.
func compileModule(ctx context.Context, engine wazero.Runtime, wasm []byte) (_ wazero.CompiledModule, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &compilerPanic{r}
		}
	}()
	return engine.CompileModule(ctx, wasm)
}

// compilerPanic is what wazero has panicked with.
type compilerPanic struct{ value any }

func (p *compilerPanic) Error() string { return fmt.Sprintf("the compiler failed: %v", p.value) }

func (p *compilerPanic) Unwrap() error {
	err, _ := p.value.(error)
	return err
}

// valid tells a module that is at fault from a cache that is: the interpreter
// uses none.
func valid(ctx context.Context, wasm []byte, limits Limits) bool {
	interpreter := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter().WithMemoryLimitPages(limits.pages()))
	_, err := compileModule(ctx, interpreter, wasm)
	return errors.Join(err, interpreter.Close(ctx)) == nil
}
