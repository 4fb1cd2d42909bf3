package replica

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"
)

// Drain takes no more calls, finishes those that run, and leaves. Calls that
// are still running when ctx is over are cut off. It also ends a Replica that
// has not fully started. Further calls wait for the first and return the same.
func (r *Replica) Drain(ctx context.Context) error {
	r.drainOnce.Do(func() { r.drained = r.drain(ctx) })
	return r.drained
}

func (r *Replica) drain(ctx context.Context) error {
	r.draining.Store(true)
	r.stop(errLeaving)
	if watcher := r.watcher.Load(); watcher != nil {
		watcher.Stop()
	}
	var group errgroup.Group
	for _, p := range r.started {
		if p.leave != nil {
			group.Go(func() error { p.leave(ctx); return nil })
		}
	}
	for _, h := range r.known() {
		group.Go(func() error { return h.unload(ctx) })
	}
	err := group.Wait()
	r.background.end(ctx)
	// What outlives a cut-off must still be put away.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTimeout)
	defer cancel()
	return errors.Join(err, r.stopParts(ctx))
}

// leaveTimeout bounds what is left to do after the last call.
const leaveTimeout = 5 * time.Second
