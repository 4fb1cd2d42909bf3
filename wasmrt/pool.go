package wasmrt

import (
	"context"
	"slices"
	"sync"
	"time"
)

// pool keeps the instances of a module: a bounded number run, a bounded number
// of callers wait for one, a bounded number is kept for the next calls.
type pool struct {
	limits  Limits
	create  func(context.Context) (*instance, error)
	account *account
	now     func() time.Time

	// slots holds a token for each running instance.
	slots chan struct{}

	mu      sync.Mutex
	idle    []*instance // the most recently used last
	waiting int
	service time.Duration // how long a call holds its slot, on average
	entered int           // calls between enter and leave
	closed  bool          // no more calls
	empty   chan struct{} // closed when closed and entered is 0
}

func newPool(limits Limits, account *account, create func(context.Context) (*instance, error)) *pool {
	return &pool{
		limits:  limits,
		create:  create,
		account: account,
		now:     time.Now,
		slots:   make(chan struct{}, limits.MaxConcurrent),
		empty:   make(chan struct{}),
	}
}

// with runs use on an instance that nobody else has, for a call that has waited for its slot
// and has had it since. What use returns is kept
// for the next call: the instance, another, or nil. The caller holds size bytes
// meanwhile, waiting or not.
func (p *pool) with(ctx context.Context, size int, use func(inst *instance, waited time.Duration, since time.Time) *instance) (waited time.Duration, err error) {
	if err := p.enter(); err != nil {
		return 0, err
	}
	defer p.leave()
	if waited, err = p.acquire(ctx, size); err != nil {
		return waited, err
	}
	start := p.now()
	defer func() {
		p.served(p.now().Sub(start), ctx.Err() != nil)
		<-p.slots
	}()
	inst, err := p.take(ctx, int64(size))
	if err != nil {
		return waited, err
	}
	var next *instance
	// Deferred, so that a panic in the host neither keeps the instance nor
	// loses the slot.
	defer func() {
		if next != inst {
			inst.close(context.WithoutCancel(ctx))
		}
		if next != nil {
			p.give(ctx, next)
		}
	}()
	next = use(inst, waited, start)
	return waited, nil
}

// callerBytes is about what a caller costs that waits, besides its request.
const callerBytes = 16 << 10

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

// acquire waits for a slot in the queue, and tells for how long. A call that would not be over in time is
// refused at once, and so is one that waits with more bytes than the plugin, or
// all guests and callers together, may have.
func (p *pool) acquire(ctx context.Context, size int) (waited time.Duration, err error) {
	select {
	case p.slots <- struct{}{}:
	default:
		if !p.queue(ctx) {
			return 0, ErrOverloaded
		}
		defer p.unqueue()
		held := int64(size) + callerBytes
		if err := p.account.reserve(held); err != nil {
			return 0, err
		}
		defer p.account.release(held)
		asked := p.now()
		select {
		case p.slots <- struct{}{}:
			waited = p.now().Sub(asked)
		case <-ctx.Done():
			return p.now().Sub(asked), ErrDeadlineInQueue
		}
	}
	if ctx.Err() != nil {
		<-p.slots
		return waited, ErrDeadlineInQueue
	}
	return waited, nil
}

// queue counts a call that waits; it reports false when the queue is full, or so
// long that the call would not be over in time.
func (p *pool) queue(ctx context.Context) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting >= p.limits.Queue {
		return false
	}
	wait := p.service * time.Duration(p.waiting+1) / time.Duration(p.limits.MaxConcurrent)
	if deadline, ok := ctx.Deadline(); ok && p.now().Add(wait+p.service).After(deadline) {
		return false
	}
	p.waiting++
	return true
}

func (p *pool) unqueue() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting--
}

// served notes how long a call held its slot. One that was cut off would have
// taken longer.
func (p *pool) served(took time.Duration, cut bool) {
	const weight = 8 // of the past against the newest
	p.mu.Lock()
	defer p.mu.Unlock()
	if !cut || took > p.service {
		p.service += (took - p.service) / weight
	}
}

// take returns the most recently used idle instance, or a new one, for a call for which
// size bytes are held.
func (p *pool) take(ctx context.Context, size int64) (*instance, error) {
	inst := p.pop()
	var err error
	if inst != nil {
		err = inst.linear.wake(size)
	} else if inst, err = p.create(ctx); err == nil {
		err = inst.linear.wake(size)
	}
	if err != nil && inst != nil {
		inst.close(context.WithoutCancel(ctx))
	}
	if err != nil {
		return nil, err
	}
	return inst, nil
}

func (p *pool) pop() *instance {
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

// give keeps an instance for the next call, or closes it where there are enough.
func (p *pool) give(ctx context.Context, inst *instance) {
	p.mu.Lock()
	room := len(p.idle) < p.limits.PoolSize
	if room {
		inst.idleSince = p.now()
		p.idle = append(p.idle, inst)
	}
	p.mu.Unlock()
	if !room {
		inst.close(context.WithoutCancel(ctx))
	}
}

// expire closes the instances that have been idle for too long.
func (p *pool) expire(ctx context.Context) {
	oldest := p.now().Add(-p.limits.InstanceTTL)
	p.closeIdle(ctx, func(inst *instance) bool { return inst.idleSince.Before(oldest) })
}

// idleBytes is how much memory the idle instances have.
func (p *pool) idleBytes() (bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, inst := range p.idle {
		bytes += inst.linear.charged
	}
	return bytes
}

// reclaim closes idle instances until n bytes are freed, those that have been
// idle for longest first, and returns how many bytes they were.
func (p *pool) reclaim(ctx context.Context, n int64) (bytes int64) {
	p.closeIdle(ctx, func(inst *instance) bool {
		if bytes >= n {
			return false
		}
		bytes += inst.linear.charged
		return true
	})
	return bytes
}

// closeIdle closes idle instances while more says so, those that have been idle
// for longest first.
func (p *pool) closeIdle(ctx context.Context, more func(*instance) bool) {
	p.mu.Lock()
	n := 0
	for n < len(p.idle) && more(p.idle[n]) {
		n++
	}
	closing := slices.Clone(p.idle[:n])
	p.idle = slices.Delete(p.idle, 0, n)
	p.mu.Unlock()
	for _, inst := range closing {
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
