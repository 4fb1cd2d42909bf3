package compiler

import (
	"bufio"
	"context"
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
	maxHeader = 16 << 10
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

// err is what Process.Compile returns for it.
func (a answer) err() error {
	switch {
	case a.Reason != "":
		return &wasmrt.CompileError{Reason: a.Reason, Text: a.Text}
	case a.Invalid != "":
		return &wasmrt.ModuleError{Err: errors.New(a.Invalid)}
	case a.Failed != "":
		return errors.New(a.Failed)
	}
	return nil
}

// Main does the work of a process that a Process has started, and ends it. In any other
// process it returns at once. A program whose plugins are compiled by a Process calls it
// first of all.
func Main() {
	if len(os.Args) > 1 && os.Args[1] == command {
		os.Exit(serve(os.Args[2:], os.Stdin, os.Stdout, os.Stderr))
	}
}

// serve compiles the modules that it reads, one after the other, and returns the exit code.
func serve(args []string, in io.Reader, out, said io.Writer) int {
	memory, err := parseArguments(args)
	if err != nil {
		_, _ = fmt.Fprintf(said, "%s is for pluginhost itself: %v\n", command, err)
		return 2
	}
	confine(memory)
	runtime.GOMAXPROCS(min(runtime.NumCPU(), processors))
	useLargePages(min(largePages, memory/2))
	// What is collected costs time, and is of use only close to the limit.
	debug.SetGCPercent(gcPercent)
	debug.SetMemoryLimit(memory / 4 * 3)
	jobs := make(chan wasmrt.Job)
	go func() {
		// The process ends with its input, also while it compiles: whoever has started it is gone.
		_, _ = fmt.Fprintln(said, readJobs(in, jobs))
		os.Exit(1)
	}()
	answers := json.NewEncoder(out)
	for job := range jobs {
		if err := answers.Encode(translate(job)); err != nil {
			_, _ = fmt.Fprintln(said, err)
			return 1
		}
	}
	return 0
}

const (
	// processors is how many processors one process uses at most.
	processors = 2
	gcPercent  = 300
	// largePages is how many bytes compiling a few modules of Go takes, with what is not collected yet.
	largePages = 256 << 20
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

// header is the line before the bytes of a module.
type header struct {
	Dir       string `json:"dir"`
	MaxMemory int64  `json:"maxMemory"`
	Module    int64  `json:"module"` // how many bytes it has
}

// writeJob writes a job for readJobs.
func writeJob(out io.Writer, job wasmrt.Job) error {
	if err := json.NewEncoder(out).Encode(header{job.Dir, job.MaxMemory, int64(len(job.Module))}); err != nil {
		return err
	}
	_, err := out.Write(job.Module)
	return err
}

// readJobs sends the jobs that it reads, until there are no more.
func readJobs(in io.Reader, jobs chan<- wasmrt.Job) error {
	buffered := bufio.NewReaderSize(in, maxHeader)
	for {
		line, err := buffered.ReadSlice('\n')
		if err != nil {
			return err
		}
		var h header
		if err := json.Unmarshal(line, &h); err != nil {
			return err
		}
		if h.Module < 0 || h.Module > maxModule {
			return fmt.Errorf("a module of %d bytes", h.Module)
		}
		job := wasmrt.Job{Module: make([]byte, h.Module), Dir: h.Dir, MaxMemory: h.MaxMemory}
		if _, err := io.ReadFull(buffered, job.Module); err != nil {
			return err
		}
		jobs <- job
	}
}

// arguments are the inverse of parseArguments.
func arguments(memory int64) []string { return []string{command, strconv.FormatInt(memory, 10)} }

func parseArguments(args []string) (memory int64, err error) {
	if len(args) != 1 {
		return 0, fmt.Errorf("%d arguments", len(args))
	}
	return strconv.ParseInt(args[0], 10, 64)
}

func cut(text string) string { return text[:min(len(text), maxText)] }
