package compiler

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/pluginhost/pluginhost/wasmrt"
)

// idleFor is how long a process waits for another module. Those of a start come one after the
// other; of a process that has compiled before, code and memory are there already.
const idleFor = 2 * time.Second

// Process compiles modules in processes of their own: this program, which must call Main.
// One process compiles one module at a time. It implements wasmrt.Compiler, and may be used
// concurrently. The zero value is ready; Close ends what it has started.
type Process struct {
	// Started, if it is set, is told the id of each process.
	Started func(pid int)

	children sync.WaitGroup
	mu       sync.Mutex
	closed   bool
	idle     []*child
}

// ErrNotStarted says that no process could be started, for want of memory or processes.
var ErrNotStarted = errors.New("no process for compiling could be started")

// Compile implements wasmrt.Compiler.
func (p *Process) Compile(ctx context.Context, job wasmrt.Job) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if c := p.take(job.Memory); c != nil {
		if err := p.compileWith(ctx, c, job); ctx.Err() != nil || !mayBeOfAnother(err) {
			return err
		}
	}
	c, err := p.start(job.Memory)
	if err != nil {
		return err
	}
	return p.compileWith(ctx, c, job)
}

// mayBeOfAnother says whether a module may have failed because of what another one has left in the
// process: its memory.
func mayBeOfAnother(err error) bool {
	var failed *wasmrt.CompileError
	return errors.As(err, &failed) && failed.Reason != wasmrt.CompileTime
}

// compileWith has a process compile a module, and wait for another one if nothing was wrong.
func (p *Process) compileWith(ctx context.Context, c *child, job wasmrt.Job) error {
	usable, err := c.compile(ctx, job)
	if usable {
		p.putBack(c)
	} else {
		c.kill()
		<-c.ended
	}
	return err
}

// take returns a process that waits, or nil.
func (p *Process) take(memory int64) *child {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.idle) > 0 {
		c := p.idle[len(p.idle)-1]
		p.idle = p.idle[:len(p.idle)-1]
		if c.tired.Stop() && c.memory == memory && c.lives() {
			return c
		}
		c.kill()
	}
	return nil
}

func (p *Process) putBack(c *child) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		c.kill()
		return
	}
	c.tired = time.AfterFunc(idleFor, func() { p.drop(c) })
	p.idle = append(p.idle, c)
}

// drop ends a process for which nobody has had a module.
func (p *Process) drop(c *child) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.idle, c); i >= 0 {
		p.idle = slices.Delete(p.idle, i, i+1)
		c.kill()
	}
}

// Close ends the processes that wait, waits for those that compile, and returns when none is left.
func (p *Process) Close() {
	p.mu.Lock()
	p.closed = true
	for _, c := range p.idle {
		c.tired.Stop()
		c.kill()
	}
	p.idle = nil
	p.mu.Unlock()
	p.children.Wait()
}
