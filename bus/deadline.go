package bus

import (
	"cmp"
	"context"
	"sync"
	"time"
)

// deadline is the context of a call. Most calls end without having waited for
// anything, and a timer that nobody looks at costs more than all the rest of a
// context, so it is started only by Done.
type deadline struct {
	at  time.Time
	via []string // see Via; set before the context is used

	mu     sync.Mutex
	timer  context.Context // nil until it is needed
	cancel context.CancelFunc
	over   bool // the call is
	err    error
}

// newDeadline returns a context that is over in timeout. The caller ends it.
func newDeadline(timeout time.Duration) *deadline { return &deadline{at: time.Now().Add(timeout)} }

// Deadline implements context.Context.
func (d *deadline) Deadline() (time.Time, bool) { return d.at, true }

// Value implements context.Context.
func (d *deadline) Value(key any) any {
	if key == (viaKey{}) {
		return d.via
	}
	d.mu.Lock()
	timer := d.timer
	d.mu.Unlock()
	if timer == nil {
		return nil
	}
	return timer.Value(key) // package context finds its own contexts by it
}

// Err implements context.Context.
func (d *deadline) Err() error {
	d.mu.Lock()
	defer d.mu.Unlock()
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
		d.timer, d.cancel = context.WithDeadline(context.Background(), d.at)
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
