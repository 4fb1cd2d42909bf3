package compiler

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
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

// child is a process that compiles modules, one after the other. Whoever has it kills it.
type child struct {
	cmd     *exec.Cmd
	memory  int64 // how many bytes it may use
	in      io.Writer
	answers *bufio.Reader
	said    head
	tired   *time.Timer // while it waits for a module

	ended  chan struct{}
	waited error // once it has ended
}

// start starts a process, which has ended once p.children is done.
func (p *Process) start(memory int64) (*child, error) {
	out, answers, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotStarted, err)
	}
	c := &child{
		cmd: exec.Command(executable(), arguments(memory)...), memory: memory,
		answers: bufio.NewReaderSize(out, maxAnswer), said: head{limit: maxAnswer}, ended: make(chan struct{}),
	}
	c.cmd.Env = []string{}
	c.cmd.Dir = "/"
	c.cmd.Stdout, c.cmd.Stderr = answers, &c.said
	c.cmd.WaitDelay = waitDelay
	prepare(c.cmd)
	started := make(chan error, 1)
	p.children.Go(func() {
		// A child may be tied to the life of the thread that has started it.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer func() { _ = out.Close() }() // it was read from
		in, err := c.cmd.StdinPipe()
		if err == nil {
			c.in = in
			err = c.cmd.Start()
		}
		err = errors.Join(err, answers.Close())
		started <- err
		if err == nil {
			c.waited = c.cmd.Wait()
			close(c.ended)
		}
	})
	if err := <-started; err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotStarted, err)
	}
	if p.Started != nil {
		p.Started(c.cmd.Process.Pid)
	}
	return c, nil
}

func (c *child) kill() { _ = c.cmd.Process.Kill() } // nothing where it has ended

func (c *child) lives() bool {
	select {
	case <-c.ended:
		return false
	default:
		return true
	}
}

// compile has the process compile a module, and says whether it can compile another one. If not,
// it has ended or has to.
func (c *child) compile(ctx context.Context, job wasmrt.Job) (usable bool, err error) {
	writing := make(chan struct{})
	go func() {
		defer close(writing)
		_ = writeJob(c.in, job) // fails if the process has ended, which says why
	}()
	watched, stop := context.WithCancelCause(ctx)
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		c.watch(watched, stop, job)
	}()
	var a answer
	line, failed := c.answers.ReadSlice('\n')
	if failed == nil {
		failed = json.Unmarshal(line, &a)
	}
	stop(errAnswered)
	<-watching
	killed := context.Cause(watched)
	if failed == nil { // before it could be killed
		<-writing
		return errors.Is(killed, errAnswered), a.err()
	}
	if !errors.Is(failed, io.EOF) && !errors.Is(failed, os.ErrClosed) {
		c.kill()
	}
	<-c.ended
	<-writing
	switch {
	case errors.Is(killed, errMemory):
		return false, &wasmrt.CompileError{Reason: wasmrt.CompileMemory, Text: fmt.Sprintf("compiling took more than %d bytes of memory", job.Memory)}
	case ctx.Err() != nil:
		return false, context.Cause(ctx)
	default:
		return false, c.failure()
	}
}

// What ends the watching of a process.
var (
	errAnswered = errors.New("it has answered")
	errMemory   = errors.New("it uses too much memory")
)

// watch kills the process when ctx is over, or when it uses more memory than the job may.
func (c *child) watch(ctx context.Context, stop context.CancelCauseFunc, job wasmrt.Job) {
	begun, pid := time.Now(), c.cmd.Process.Pid
	before := worked(pid, begun)
	ticker := time.NewTicker(watchPause)
	defer ticker.Stop()
	for looks := 0; ; looks++ {
		select {
		case <-ticker.C:
			if resident(pid) > job.Memory {
				stop(errMemory)
			}
			if job.Worked != nil && looks%workedEach == 0 {
				job.Worked(max(0, worked(pid, begun)-before))
			}
		case <-ctx.Done():
			if !errors.Is(context.Cause(ctx), errAnswered) {
				c.kill()
			}
			return
		}
	}
}

// failure says what became of a process that has ended without an answer, and that nobody has killed.
func (c *child) failure() error {
	said := c.said.bytes()
	if outOfMemory(c.cmd.ProcessState, said) {
		return &wasmrt.CompileError{Reason: wasmrt.CompileMemory, Text: "compiling took more memory than it may: " + firstLine(said, c.waited)}
	}
	return &wasmrt.CompileError{Reason: wasmrt.CompileCrash, Text: "the compiler failed: " + firstLine(said, c.waited)}
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

// firstLine is what a process has said first or, without that, how it has ended.
func firstLine(said []byte, waited error) string {
	for line := range strings.Lines(string(said)) {
		if line = strings.TrimSpace(line); line != "" {
			return cut(line)
		}
	}
	return cut(fmt.Sprint(waited))
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
