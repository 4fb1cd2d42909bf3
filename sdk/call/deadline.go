package call

import (
	"cmp"
	"context"
	"sync"
	"time"
)

// deadline is the context of a call. Most calls end without having waited for
// anything, and a timer that nobody looks at costs more than all the rest of a
// context, so it is started only by Done, unless the parent can be done.
type deadline struct {
	parent context.Context
	at     time.Time
	limit  time.Duration // what TimeLimit returns
	via    []string      // what Via returns

	mu     sync.Mutex
	timer  context.Context // nil until it is needed
	cancel context.CancelFunc
	over   bool // the call is
	err    error
}

// newDeadline returns a context that is over in limit, or with its parent. The caller ends it.
func newDeadline(parent context.Context, limit time.Duration, via []string) *deadline {
	d := &deadline{parent: parent, at: time.Now().Add(limit), limit: limit, via: via}
	if parent.Done() == nil {
		return d
	}
	if at, ok := parent.Deadline(); ok && at.Before(d.at) {
		d.at = at
	}
	d.Done()
	return d
}

// Deadline implements context.Context.
func (d *deadline) Deadline() (time.Time, bool) { return d.at, true }

// Value implements context.Context.
func (d *deadline) Value(key any) any {
	switch key.(type) {
	case viaKey:
		return d.via
	case limitKey:
		return d.limit
	}
	d.mu.Lock()
	timer := d.timer
	d.mu.Unlock()
	if timer == nil {
		return d.parent.Value(key)
	}
	return timer.Value(key) // package context finds its own contexts by it
}

// Err implements context.Context.
func (d *deadline) Err() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err == nil && d.timer != nil {
		d.err = d.timer.Err()
	}
	if d.err == nil && !time.Now().Before(d.at) {
		d.err = context.DeadlineExceeded
	}
	return d.err
}

// Done implements context.Context.
func (d *deadline) Done() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer == nil {
		d.timer, d.cancel = context.WithDeadline(d.parent, d.at)
		if d.over {
			d.cancel()
		}
	}
	return d.timer.Done()
}

// end releases what the context holds.
func (d *deadline) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.over = true
	d.err = cmp.Or(d.err, context.Canceled)
	if d.cancel != nil {
		d.cancel()
	}
}
