package wasmrt

import (
	"context"
	"runtime"
	"time"
)

// turn is the computing of one call.
type turn struct {
	processors *processors
	// since is when the guest began to compute, yielded when the scheduler last
	// got in.
	since, yielded time.Time
	// tired tells that the call has computed for a slice: from then on it needs a
	// processor for itself, and holding tells that it has one.
	tired, holding bool
	spent          time.Duration // computing before since, while not tired
}

func (t *turn) begin(now time.Time) {
	t.since, t.yielded = now, now
	t.tired, t.spent = false, 0
}

// pause ends computing for a while.
func (t *turn) pause() {
	if t.holding {
		t.processors.release()
		t.holding = false
	}
	if !t.tired {
		t.spent += time.Since(t.since)
	}
}

// resume goes on after a pause.
func (t *turn) resume() {
	now := time.Now()
	t.since, t.yielded = now, now
}

// give lets others compute if it is time for that. An error says that ctx or
// stopping was over before it was the call's turn again.
func (t *turn) give(ctx, stopping context.Context, now time.Time) error {
	used := now.Sub(t.since)
	switch {
	case t.tired && t.holding && used < slice, !t.tired && t.spent+used < slice:
		if now.Sub(t.yielded) > breath {
			runtime.Gosched()
			t.yielded = now
		}
		return nil
	case t.holding && !t.processors.wanted():
		runtime.Gosched()
		t.resume()
		return nil
	}
	t.tired = true
	t.pause()
	if err := t.processors.acquire(ctx, stopping); err != nil {
		return err
	}
	t.holding = true
	t.resume()
	return nil
}
