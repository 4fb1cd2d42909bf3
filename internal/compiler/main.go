package compiler

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"

	"github.com/pluginhost/pluginhost/wasmrt"
)

// command is the first argument of a process that compiles. The program's own commands do
// not list it: it is of no use to people.
const command = "compile-module"

// Bounds on what the two sides take from each other, in bytes.
const (
	maxModule = 1 << 30
	maxText   = 2 << 10
	maxAnswer = 16 << 10
)

// answer is what became of a module; the zero value is that it is compiled.
type answer struct {
	// Invalid says why the module is not valid.
	Invalid string `json:"invalid,omitempty"`
	// Reason and Text are those of a *wasmrt.CompileError.
	Reason wasmrt.CompileReason `json:"reason,omitempty"`
	Text   string               `json:"text,omitempty"`
	// Failed says what was wrong with the process or the folder.
	Failed string `json:"failed,omitempty"`
}

// Main does the work of a process that a Process has started, and ends it. In any other
// process it returns at once. A program whose plugins are compiled by a Process calls it
// first of all.
func Main() {
	if len(os.Args) > 1 && os.Args[1] == command {
		os.Exit(serve(os.Args[2:], os.Stdin, os.Stdout, os.Stderr))
	}
}

// serve compiles one module and returns the exit code.
func serve(args []string, in io.Reader, out, errors io.Writer) int {
	job, err := parseArguments(args)
	if err == nil {
		confine(job.Memory)
		job.Module, err = readModule(in)
	}
	if err != nil {
		_, _ = fmt.Fprintf(errors, "%s is for pluginhost itself: %v\n", command, err)
		return 2
	}
	go endWith(in)
	runtime.GOMAXPROCS(min(runtime.NumCPU(), goroutines))
	// What is collected costs time, and is of use only close to the limit.
	debug.SetGCPercent(gcPercent)
	debug.SetMemoryLimit(job.Memory / 4 * 3)
	if err := json.NewEncoder(out).Encode(translate(job)); err != nil {
		_, _ = fmt.Fprintln(errors, err)
		return 1
	}
	return 0
}

const (
	// goroutines is how many processors one process uses at most.
	goroutines = 2
	gcPercent  = 300
)

func translate(job wasmrt.Job) (a answer) {
	var (
		failed  *wasmrt.CompileError
		invalid *wasmrt.ModuleError
	)
	switch err := wasmrt.Translate(context.Background(), job); {
	case err == nil:
	case errors.As(err, &failed):
		a.Reason, a.Text = failed.Reason, cut(failed.Text)
	case errors.As(err, &invalid):
		a.Invalid = cut(invalid.Err.Error())
	default:
		a.Failed = cut(err.Error())
	}
	return a
}

// endWith ends the process when its standard input does: whoever has started it is gone.
func endWith(in io.Reader) {
	_, _ = io.Copy(io.Discard, in)
	os.Exit(1)
}

// arguments are the inverse of parseArguments.
func arguments(job wasmrt.Job) []string {
	return []string{command, job.Dir, strconv.FormatInt(job.Memory, 10), strconv.FormatInt(job.MaxMemory, 10)}
}

func parseArguments(args []string) (job wasmrt.Job, err error) {
	if len(args) != 3 {
		return job, fmt.Errorf("%d arguments", len(args))
	}
	job.Dir = args[0]
	if job.Memory, err = strconv.ParseInt(args[1], 10, 64); err != nil {
		return job, err
	}
	job.MaxMemory, err = strconv.ParseInt(args[2], 10, 64)
	return job, err
}

// writeModule writes a module for readModule.
func writeModule(out io.Writer, module []byte) error {
	if err := binary.Write(out, binary.LittleEndian, uint64(len(module))); err != nil {
		return err
	}
	_, err := out.Write(module)
	return err
}

func readModule(in io.Reader) ([]byte, error) {
	var size uint64
	if err := binary.Read(in, binary.LittleEndian, &size); err != nil {
		return nil, err
	}
	if size > maxModule {
		return nil, fmt.Errorf("a module of %d bytes", size)
	}
	module := make([]byte, size)
	_, err := io.ReadFull(in, module)
	return module, err
}

func cut(text string) string { return text[:min(len(text), maxText)] }
