package replica

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/pluginhost/pluginhost/bus/cluster"
	"github.com/pluginhost/pluginhost/subjects"
)

// candidate is a generation that is compiled and does not serve, because its OnInit has
// failed. OnInit is tried again by itself, on one replica at a time; once it has
// succeeded the plugin is reloaded, which makes the generation the current one.
type candidate struct {
	hosted     *hosted
	source     source
	generation *generation
	giveUp     context.CancelCauseFunc
	done       sync.WaitGroup

	mu        sync.Mutex
	failure   error // why it does not serve
	retry     subjects.InitRetry
	succeeded bool
}

// keepCandidate keeps a generation whose OnInit has failed, and begins to try it again;
// err is what its making ended with. changing is held.
func (h *hosted) keepCandidate(g *generation, s source, failed *cluster.InitError, err error) {
	ctx, cancel := context.WithCancelCause(h.replica.running)
	c := &candidate{hosted: h, source: s, generation: g, giveUp: cancel}
	c.failed(failed, err)
	h.candidate.Store(c)
	c.done.Go(func() { c.run(ctx, failed) })
}

// waitingError is why a generation does not serve yet: its OnInit has failed, and is
// tried again.
type waitingError struct{ failure error }

// Error implements error.
func (w *waitingError) Error() string { return w.failure.Error() }

// Unwrap returns the failure.
func (w *waitingError) Unwrap() error { return w.failure }

// takeCandidate returns the generation of the candidate if it is of this id and its
// OnInit has succeeded; if that is still tried, waiting is a *waitingError. A candidate of
// another id is given up, and so is any if always is set. changing is held.
func (h *hosted) takeCandidate(ctx context.Context, id string, always bool) (_ *generation, waiting error) {
	c := h.candidate.Load()
	if c == nil {
		return nil, nil
	}
	c.mu.Lock()
	failure, succeeded := c.failure, c.succeeded
	c.mu.Unlock()
	switch {
	case c.generation.id != id || always:
		h.dropCandidate(ctx)
		return nil, nil
	case !succeeded:
		return nil, &waitingError{failure}
	}
	c.done.Wait()
	h.candidate.Store(nil)
	return c.generation, nil
}

// dropCandidate gives up the generation whose OnInit has failed, if there is one, and
// waits for an OnInit that runs to stop. changing is held.
func (h *hosted) dropCandidate(ctx context.Context) {
	c := h.candidate.Swap(nil)
	if c == nil {
		return
	}
	c.giveUp(cluster.ErrInitGivenUp)
	c.done.Wait()
	h.discard(ctx, c.generation)
}

// run tries OnInit again until it has succeeded or is given up.
func (c *candidate) run(ctx context.Context, failed *cluster.InitError) {
	r, h := c.hosted.replica, c.hosted
	for {
		if err := r.heartbeat.AwaitInitRetry(ctx, h.id, c.generation.id, failed); err != nil {
			return
		}
		c.source.retry, c.source.failures = failed.Revision, failed.Failures
		err := r.initialise(ctx, c.generation, c.source)
		switch {
		case err == nil:
			c.mu.Lock()
			c.succeeded = true
			c.mu.Unlock()
			h.initFailure.Store(nil)
			h.askReload(false)
			return
		case ctx.Err() != nil:
			return
		case errors.As(err, &failed):
			c.failed(failed, err)
			r.beat(ctx) // which generation failed here, others go by
		default:
			r.log.Warn("OnInit could not be tried again", "plugin", h.id, "error", err)
		}
	}
}

// failed notes a failure of OnInit. The log has it unless it is that of the attempt before.
func (c *candidate) failed(failed *cluster.InitError, err error) {
	h := c.hosted
	h.initFailure.Store(&initFailure{generation: c.generation.id, revision: failed.Revision})
	c.mu.Lock()
	before := c.failure
	c.failure = err
	c.retry = subjects.InitRetry{Failures: failed.Failures, Next: time.Now().Add(failed.RetryAfter()).UTC()}
	c.mu.Unlock()
	var last *cluster.InitError
	if before == nil || errors.As(before, &last) && last.Text == failed.Text {
		return // nothing new, or the reload tells
	}
	h.mu.Lock()
	h.view.err = err
	h.mu.Unlock()
	h.tellFailure(err)
}

// status is when OnInit is tried again; nil if it need not be.
func (c *candidate) status() *subjects.InitRetry {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.succeeded {
		return nil
	}
	retry := c.retry
	return &retry
}
