package replica

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pluginhost/pluginhost/sdk/call"
	"github.com/pluginhost/pluginhost/wasmrt"
)

// errTooLate says that a callback may not be made any more, or not yet again.
var errTooLate = errors.New("it has waited for too long")

// errNotCalled says that a callback could not be made: nothing of it was run.
var errNotCalled = errors.New("the plugin was not called")

const (
	// A plugin that has no place for a callback is asked again after the first
	// pause, and then after twice as long each time.
	callbackPause    = 20 * time.Millisecond
	callbackPatience = time.Second
)

// callback is a call that the host makes for a schedule or a connection.
type callback struct {
	method  string
	origin  call.Origin
	of      string // the id of the schedule or the connection
	request []byte
	// before is asked just before each attempt, and its error ends the waiting.
	before func() error
	// still is asked once more when the plugin's guest is about to run, as calls may have had
	// it wait since: it must not block, and if it says no, all begins anew. Nil is that it
	// need not be asked.
	still func() bool
}

// callBack makes a callback of the plugin's current generation.
// It waits for a place among the plugin's calls, without end but for ctx, and gives
// the call MaxTimeout. The caller hands what was made to Observe, unless its error is
// errNotCalled: that says that nothing was run, and wraps the error of before
// if that is why. Any other is that of the call.
func (h *hosted) callBack(ctx context.Context, c callback) (response []byte, made call.Observation) {
	if c.still != nil {
		ctx = wasmrt.WithBegin(ctx, func() error {
			if c.still() {
				return nil
			}
			return errTooLate
		})
	}
	start := time.Now()
	answer := h.insist(ctx, c)
	return answer.Response, call.Observation{
		Method: c.method, Callback: true, Origin: c.origin, For: c.of, Err: answer.Err,
		Took: time.Since(start), Waited: answer.Waited, Ran: answer.Ran, In: len(c.request), Out: len(answer.Response),
	}
}

// insist tries a callback until there is a place for it, or ctx is over.
func (h *hosted) insist(ctx context.Context, c callback) call.Answer {
	for wait := callbackPause; ; wait = min(2*wait, callbackPatience) {
		answer := h.callOnce(ctx, c)
		if !isBusy(answer.Err) {
			return answer
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return notCalled(answer.Err)
		}
	}
}

// notCalled is the answer to a callback that could not be made.
func notCalled(why error) call.Answer {
	return call.Answer{Err: fmt.Errorf("%w: %w", errNotCalled, why)}
}

// isBusy tells a call of which nothing was run because there was no place for it.
func isBusy(err error) bool {
	return errors.Is(err, wasmrt.ErrOverloaded) || errors.Is(err, wasmrt.ErrHostMemory) || errors.Is(err, wasmrt.ErrDeadlineInQueue) || errors.Is(err, errTooLate)
}

// callOnce calls the current generation, or the one after it.
func (h *hosted) callOnce(ctx context.Context, c callback) call.Answer {
	for {
		current := h.current.Load()
		if current == nil {
			return call.Answer{Err: fmt.Errorf("%w: it is not served", errNotCalled)}
		}
		method, ok := current.callbacks[c.method]
		if !ok {
			return call.Answer{Err: current.noSuchMethod(c.method, true)}
		}
		answer := current.callBack(ctx, method.export, c)
		switch err := answer.Err; {
		case errors.Is(err, wasmrt.ErrClosed) && h.current.Load() != current:
			continue
		case errors.Is(err, wasmrt.ErrClosed):
			return notCalled(err)
		case err == nil, isBusy(err), errors.Is(err, errNotCalled):
			return answer
		default:
			answer.Err = current.failure(c.method, err)
			return answer
		}
	}
}

// callBack calls a method of this generation when one of the places for callbacks is
// free: the others are for calls.
func (g *generation) callBack(ctx context.Context, export string, c callback) call.Answer {
	select {
	case g.places <- struct{}{}:
		defer func() { <-g.places }()
	case <-ctx.Done():
		return notCalled(context.Cause(ctx))
	}
	if err := c.before(); err != nil {
		return notCalled(err)
	}
	ctx, cancel := context.WithTimeout(ctx, g.limits.MaxTimeout)
	defer cancel()
	return g.keep(ctx, export, c.request)
}
