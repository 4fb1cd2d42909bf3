package wasmrt

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Compiler translates modules to machine code outside of this process: what compiling
// one takes, and whether it ends at all, is up to whoever made the module.
type Compiler interface {
	// Compile has Translate run for a job, elsewhere, and waits until nothing of it runs
	// any more. When ctx is over it returns the cause. What would be wrong with the
	// module in any process is a *ModuleError, and what it takes too much of a
	// *CompileError; other errors say that there was no process.
	Compile(ctx context.Context, job Job) error
}

// Job is a module that is to be translated.
type Job struct {
	// Module is what Translate takes: rewritten already.
	Module []byte
	// Dir is the folder for the machine code and nothing else, as an absolute path.
	Dir string
	// Memory is how many bytes the process may use.
	Memory int64
	// MaxMemory is how many bytes the memory of a guest may have.
	MaxMemory int64
	// Worked is told again and again how much time of a processor the job has taken so far
	// or, where that cannot be found out, how much time by the clock.
	Worked func(time.Duration)
}

// Bounds on what reading machine code may take: the process that serves does that.
const (
	// MaxReadTime is of a processor.
	MaxReadTime = 2 * time.Second
	// MaxReadMemory is in bytes.
	MaxReadMemory = 256 << 20
)

// CompileReason says what a module took too much of. The values are kept on disk.
type CompileReason string

const (
	// CompileTime is [Runtime] CompileTimeout.
	CompileTime CompileReason = "time"
	// CompileMemory is [Runtime] CompileMemory.
	CompileMemory CompileReason = "memory"
	// CompileReading is MaxReadTime or MaxReadMemory.
	CompileReading CompileReason = "reading"
	// CompileCrash is none of them: the compiler itself failed.
	CompileCrash CompileReason = "crash"
)

// CompileError says that a module took too much to be compiled.
type CompileError struct {
	Reason CompileReason
	// Text is what happened, with the numbers.
	Text string
}

func (e *CompileError) Error() string { return e.Text }

// ModuleError says that a module is not valid.
type ModuleError struct{ Err error }

func (e *ModuleError) Error() string { return fmt.Sprintf("not a valid WebAssembly module: %v", e.Err) }

func (e *ModuleError) Unwrap() error { return e.Err }

// ErrFailedBefore says that a module was not compiled because that has failed before,
// within the same limits: Options.Again has it tried.
var ErrFailedBefore = errors.New("it was not compiled again, because that has failed before within the same limits")

var (
	errCompileTimeout = errors.New("compiling took too long")
	// errNoCode says that the cache has no machine code for a module.
	errNoCode = errors.New("there is no machine code for the module")
)

// loadError is the error for who wants the module loaded.
func (e *CompileError) loadError(config Config) *LoadError {
	hint := ""
	switch e.Reason {
	case CompileTime:
		hint = fmt.Sprintf("[Runtime] CompileTimeout is %v: raise it, or build a smaller module", config.CompileTimeout)
	case CompileMemory:
		hint = fmt.Sprintf("[Runtime] CompileMemory is %d bytes: raise it, or build a smaller module", config.CompileMemory)
	case CompileReading:
		hint = "no setting changes that: build a smaller module"
	case CompileCrash:
		hint = "no setting changes that: build the module again, perhaps with another compiler"
	}
	return &LoadError{e, hint}
}
