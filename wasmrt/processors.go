package wasmrt

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"
)

const (
	// slice is how long a call may compute before it needs a processor for
	// itself, and then while others wait for one.
	slice = time.Millisecond
	// breath is how long it may compute before the scheduler of the process gets
	// in.
	breath = 100 * time.Microsecond
)

// processors bounds how many guests compute for long at once, of all modules
// together. Short calls never come here; the connection, the collector and other
// plugins find a processor free however many guests compute.
type processors struct {
	mu    sync.Mutex
	free  int
	queue []chan struct{} // each is closed when it is its turn
}

func newProcessors(n int) *processors { return &processors{free: n} }

// acquire waits for a processor, or until ctx or stopping is over. The caller
// releases it.
func (p *processors) acquire(ctx, stopping context.Context) error {
	p.mu.Lock()
	if p.free > 0 {
		p.free--
		p.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	p.queue = append(p.queue, turn)
	p.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	case <-stopping.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if at := slices.Index(p.queue, turn); at >= 0 {
		p.queue = slices.Delete(p.queue, at, at+1)
	} else {
		p.pass() // its turn came at the same time
	}
	return cmp.Or(context.Cause(ctx), context.Cause(stopping))
}

// release gives a processor back.
func (p *processors) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pass()
}

// pass gives a processor to who is next.
func (p *processors) pass() {
	if len(p.queue) == 0 {
		p.free++
		return
	}
	close(p.queue[0])
	p.queue = slices.Delete(p.queue, 0, 1)
}

// wanted tells that somebody waits.
func (p *processors) wanted() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.queue) > 0
}
