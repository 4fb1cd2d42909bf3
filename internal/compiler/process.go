package compiler

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/pluginhost/pluginhost/wasmrt"
)

// watchPause is between two looks at how much memory a process uses.
const watchPause = 20 * time.Millisecond

// workedEach is how many of these looks are one at how much it has worked.
const workedEach = 5

// waitDelay is how long the pipes of a process that has ended are read.
const waitDelay = time.Second

// Process compiles each module in a process of its own: this program, which must call Main.
// It implements wasmrt.Compiler, and may be used concurrently.
type Process struct {
	// Started, if it is set, is told the id of each process.
	Started func(pid int)
}

// ErrNotStarted says that no process could be started, for want of memory or processes.
var ErrNotStarted = errors.New("no process for compiling could be started")

// errMemory ends a process that uses too much.
var errMemory = errors.New("it uses too much memory")

// Compile implements wasmrt.Compiler.
func (p *Process) Compile(ctx context.Context, job wasmrt.Job) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	// A child may be tied to the life of the thread that has started it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	said, answered := head{limit: maxAnswer}, head{limit: maxAnswer}
	cmd := exec.Command(executable(), arguments(job)...)
	cmd.Env = []string{}
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = &answered, &said
	cmd.WaitDelay = waitDelay
	prepare(cmd)
	in, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotStarted, err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%w: %w", ErrNotStarted, errors.Join(err, in.Close()))
	}
	if p.Started != nil {
		p.Started(cmd.Process.Pid)
	}
	// The pipe stays open: the process ends with it.
	writing := make(chan struct{})
	go func() {
		defer close(writing)
		_ = writeModule(in, job.Module) // fails if the process has ended, which says why
	}()
	watched, stop := context.WithCancelCause(ctx)
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		watch(watched, stop, cmd.Process, job)
	}()
	waited := cmd.Wait()
	stop(nil)
	<-watching
	<-writing
	switch killed := context.Cause(watched); {
	case waited == nil: // before it could be killed
	case errors.Is(killed, errMemory):
		return &wasmrt.CompileError{Reason: wasmrt.CompileMemory, Text: fmt.Sprintf("compiling took more than %d bytes of memory", job.Memory)}
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return outcome(waited, cmd.ProcessState, answered.bytes(), said.bytes())
}

// startedBy is the path by which this program was started.
func startedBy() string {
	path, err := exec.LookPath(os.Args[0])
	if err == nil {
		path, err = filepath.Abs(path) // the process works in another folder
	}
	if err != nil {
		return os.Args[0]
	}
	return path
}

// watch kills a process when ctx is over, or when it uses more memory than the job may.
func watch(ctx context.Context, stop context.CancelCauseFunc, process *os.Process, job wasmrt.Job) {
	begun := time.Now()
	ticker := time.NewTicker(watchPause)
	defer ticker.Stop()
	for looks := 0; ; looks++ {
		select {
		case <-ticker.C:
			if resident(process.Pid) > job.Memory {
				stop(errMemory)
			}
			if job.Worked != nil && looks%workedEach == 0 {
				job.Worked(worked(process.Pid, begun))
			}
		case <-ctx.Done():
			_ = process.Kill() // nothing where it has ended
			return
		}
	}
}

// outcome says what became of a process that nobody has killed.
func outcome(waited error, state *os.ProcessState, answered, said []byte) error {
	var a answer
	if waited == nil {
		waited = json.Unmarshal(answered, &a)
	}
	switch {
	case waited != nil && outOfMemory(state, said):
		return &wasmrt.CompileError{Reason: wasmrt.CompileMemory, Text: "compiling took more memory than it may: " + firstLine(said, waited)}
	case waited != nil:
		return &wasmrt.CompileError{Reason: wasmrt.CompileCrash, Text: "the compiler failed: " + firstLine(said, waited)}
	case a.Reason != "":
		return &wasmrt.CompileError{Reason: a.Reason, Text: a.Text}
	case a.Invalid != "":
		return &wasmrt.ModuleError{Err: errors.New(a.Invalid)}
	case a.Failed != "":
		return errors.New(a.Failed)
	}
	return nil
}

// outOfMemory tells how a process without memory ends from other crashes: Go says it in
// words only, and the system kills without any.
func outOfMemory(state *os.ProcessState, said []byte) bool {
	for _, words := range []string{"out of memory", "cannot allocate memory", "cannot map pages", "failed to allocate", "stack exceeds"} {
		if bytes.Contains(said, []byte(words)) {
			return true
		}
	}
	return wasKilled(state)
}

func firstLine(said []byte, waited error) string {
	for line := range strings.Lines(string(said)) {
		if line = strings.TrimSpace(line); line != "" {
			return cut(line)
		}
	}
	return waited.Error()
}

// head keeps the beginning of what is written to it.
type head struct {
	limit int
	kept  bytes.Buffer
}

// Write implements io.Writer.
func (t *head) Write(p []byte) (int, error) {
	t.kept.Write(p[:min(len(p), t.limit-t.kept.Len())])
	return len(p), nil
}

func (t *head) bytes() []byte { return t.kept.Bytes() }
