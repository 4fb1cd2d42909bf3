package wasmrt

import (
	"context"
	"sync"
	"time"
)

// pool keeps the instances of a module: a bounded number run, a bounded number
// of callers wait for one, a bounded number is kept for the next calls.
type pool struct {
	limits Limits
	create func(context.Context) (*instance, error)
	now    func() time.Time

	// slots holds a token for each running instance.
	slots chan struct{}

	mu      sync.Mutex
	idle    []*instance // the most recently used last
	waiting int
	entered int           // calls between enter and leave
	closed  bool          // no more calls
	empty   chan struct{} // closed when closed and entered is 0
}

func newPool(limits Limits, create func(context.Context) (*instance, error)) *pool {
	return &pool{
		limits: limits,
		create: create,
		now:    time.Now,
		slots:  make(chan struct{}, limits.MaxConcurrent),
		empty:  make(chan struct{}),
	}
}

// with runs use on an instance that nobody else has. The instance is kept only
// if use reports that it is whole.
func (p *pool) with(ctx context.Context, use func(*instance) (whole bool)) error {
	if err := p.enter(); err != nil {
		return err
	}
	defer p.leave()
	if err := p.acquire(ctx); err != nil {
		return err
	}
	defer func() { <-p.slots }()
	inst := p.take()
	if inst == nil {
		var err error
		if inst, err = p.create(ctx); err != nil {
			return err
		}
	}
	whole := false
	// Deferred, so that a panic in the host neither keeps the instance nor
	// loses the slot.
	defer func() { p.give(ctx, inst, whole) }()
	whole = use(inst)
	return nil
}

func (p *pool) enter() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return ErrClosed
	}
	p.entered++
	return nil
}

func (p *pool) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.entered--
	if p.closed && p.entered == 0 {
		close(p.empty)
	}
}

// acquire waits for a slot in the queue.
func (p *pool) acquire(ctx context.Context) error {
	select {
	case p.slots <- struct{}{}:
	default:
		if !p.queue(+1) {
			return ErrOverloaded
		}
		defer p.queue(-1)
		select {
		case p.slots <- struct{}{}:
		case <-ctx.Done():
			return ErrDeadlineInQueue
		}
	}
	if ctx.Err() != nil {
		<-p.slots
		return ErrDeadlineInQueue
	}
	return nil
}

// queue changes the number of waiting calls; it reports false when the queue is
// full.
func (p *pool) queue(change int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting+change > p.limits.Queue {
		return false
	}
	p.waiting += change
	return true
}

// take returns the most recently used idle instance, or nil.
func (p *pool) take() *instance {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := len(p.idle) - 1
	if last < 0 {
		return nil
	}
	inst := p.idle[last]
	p.idle[last], p.idle = nil, p.idle[:last]
	return inst
}

// give keeps an instance for the next call, or closes it.
func (p *pool) give(ctx context.Context, inst *instance, whole bool) {
	if whole && p.keep(inst) {
		return
	}
	inst.close(context.WithoutCancel(ctx))
}

func (p *pool) keep(inst *instance) bool {
	if p.limits.Isolation == IsolationFresh || int64(inst.memory.Size()) > p.limits.MaxMemory/2 {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) >= p.limits.PoolSize {
		return false
	}
	inst.idleSince = p.now()
	p.idle = append(p.idle, inst)
	return true
}

// expire closes the instances that have been idle for too long.
func (p *pool) expire(ctx context.Context) {
	p.mu.Lock()
	oldest := p.now().Add(-p.limits.InstanceTTL)
	n := 0
	for n < len(p.idle) && p.idle[n].idleSince.Before(oldest) {
		n++
	}
	expired := append([]*instance(nil), p.idle[:n]...)
	p.idle = append([]*instance(nil), p.idle[n:]...)
	p.mu.Unlock()
	for _, inst := range expired {
		inst.close(ctx)
	}
}

// close refuses new calls and waits until those that entered have left, or for
// ctx.
func (p *pool) close(ctx context.Context) error {
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		if p.entered == 0 {
			close(p.empty)
		}
	}
	p.mu.Unlock()
	select {
	case <-p.empty:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// stats counts instances and callers.
func (p *pool) stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Stats{Idle: len(p.idle), Running: len(p.slots), Waiting: p.waiting}
}
