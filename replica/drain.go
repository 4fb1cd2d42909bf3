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
	group.Go(func() error {
		r.leadership.stop(ctx)
		return nil
	})
	for _, h := range r.known() {
		group.Go(func() error { return h.unload(ctx) })
	}
	group.Go(func() error {
		r.artwork.stop(ctx)
		return nil
	})
	errs := []error{group.Wait()}
	r.background.end(ctx)
	// What outlives a cut-off must still be put away.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTimeout)
	defer cancel()
	if r.control != nil {
		errs = append(errs, r.control.Stop())
	}
	if r.discovery != nil {
		errs = append(errs, r.discovery.Stop())
	}
	if r.cache != nil {
		r.cache.Stop()
	}
	if r.generations != nil {
		r.generations.Stop()
	}
	r.packages.stop()
	r.removals.stop()
	r.leavings.stop()
	r.planner.stop()
	r.sockets.stop()
	if r.inits != nil {
		r.inits.Stop()
	}
	if r.heartbeat != nil {
		ctx, cancel := context.WithTimeout(ctx, r.bus.Jet().LeavePatience())
		defer cancel()
		if err := r.heartbeat.Stop(ctx); err != nil {
			r.log.Warn("others will see this replica gone only after a lease", "error", err)
		}
	}
	if r.runtime != nil {
		errs = append(errs, r.runtime.Close(ctx))
	}
	if r.bus != nil {
		r.bus.Close()
	}
	r.health.stop(ctx)
	if r.lock != nil {
		errs = append(errs, r.lock.Unlock())
	}
	return errors.Join(errs...)
}

// leaveTimeout bounds what is left to do after the last call.
const leaveTimeout = 5 * time.Second
