package wasmrt

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// slice is how long a guest may compute while others wait that have done so.
	slice = time.Millisecond
	// breath is how long it may before the scheduler of the process gets in.
	breath = 100 * time.Microsecond
)

// processors bounds how many guests compute at once, of all modules together:
// the others of a process, its connection and its collector among them, wait for
// few and not for all calls that run. A guest that has just come goes before
// those that have computed for a slice, so that long calls hardly delay short
// ones.
type processors struct {
	waiting atomic.Int64 // how many are fresh or tired

	mu   sync.Mutex
	free int
	// fresh and tired wait, in order; a channel is closed when it is its turn.
	fresh, tired []chan struct{}
}

func newProcessors(n int) *processors { return &processors{free: n} }

// acquire waits for a processor or until ctx is over. The caller releases it.
func (p *processors) acquire(ctx context.Context, tired bool) error {
	p.mu.Lock()
	if p.free > 0 {
		p.free--
		p.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	queue := p.queue(tired)
	*queue = append(*queue, turn)
	p.mu.Unlock()
	p.waiting.Add(1)
	defer p.waiting.Add(-1)
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if at := slices.Index(*queue, turn); at >= 0 {
		*queue = slices.Delete(*queue, at, at+1)
	} else {
		p.pass() // it came at the same time
	}
	return context.Cause(ctx)
}

func (p *processors) queue(tired bool) *[]chan struct{} {
	if tired {
		return &p.tired
	}
	return &p.fresh
}

// release gives a processor back.
func (p *processors) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pass()
}

// pass gives a processor to who is next.
func (p *processors) pass() {
	for _, queue := range []*[]chan struct{}{&p.fresh, &p.tired} {
		if len(*queue) > 0 {
			close((*queue)[0])
			*queue = slices.Delete(*queue, 0, 1)
			return
		}
	}
	p.free++
}

// wanted tells that a guest that computes should make room: one that is tired for
// any that waits, another for those that have just come.
func (p *processors) wanted(tired bool) bool {
	if p.waiting.Load() == 0 {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.fresh) > 0 || tired && len(p.tired) > 0
}
