package replica

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pluginhost/pluginhost/sdk/api/schema"
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

// callback is a call that the host makes for a schedule, a connection or a queue of plays.
type callback struct {
	event  schema.Event
	origin call.Origin
	of     string // the id of the schedule or the connection, or the user whose queue it is
	// before is asked just before each attempt, and its error ends the waiting.
	before func() error
	// still is asked once more when the plugin's guest is about to run, as calls may have had
	// it wait since: it must not block, and if it says no, all begins anew. Nil is that it
	// need not be asked.
	still func() bool
}

// outcome is what a callback has ended with.
type outcome struct {
	call.Answer
	// as is the event as the generation had it that was called; nothing where none was.
	as schema.Callback
}

// callBack makes a callback of the plugin's current generation, in the words of its contract.
// It waits for a place among the plugin's calls, without end but for ctx, and gives
// the call MaxTimeout. The caller hands what was made to Observe, unless its error is
// errNotCalled: that says that nothing was run, and wraps the error of before
// if that is why. Any other is that of the call.
func (h *hosted) callBack(ctx context.Context, c callback) (outcome, call.Observation) {
	if c.still != nil {
		ctx = wasmrt.WithBegin(ctx, func() error {
			if c.still() {
				return nil
			}
			return errTooLate
		})
	}
	start := time.Now()
	o := h.insist(ctx, c)
	return o, call.Observation{
		Method: o.as.Name, Callback: c.origin != call.OfQueue, Origin: c.origin, For: c.of, Err: o.Err,
		Took: time.Since(start), Waited: o.Waited, Ran: o.Ran, In: len(o.as.Request), Out: len(o.Response),
	}
}

// insist tries a callback until there is a place for it, or ctx is over.
func (h *hosted) insist(ctx context.Context, c callback) outcome {
	for wait := callbackPause; ; wait = min(2*wait, callbackPatience) {
		o := h.callOnce(ctx, c)
		if !isBusy(o.Err) {
			return o
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return outcome{Answer: notCalled(o.Err)}
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
func (h *hosted) callOnce(ctx context.Context, c callback) outcome {
	for {
		current := h.current.Load()
		if current == nil {
			return outcome{Answer: call.Answer{Err: fmt.Errorf("%w: it is not served", errNotCalled)}}
		}
		as, err := current.contract.Callback(c.event)
		if err != nil {
			return outcome{call.Answer{Err: err}, as}
		}
		if !current.has(as.Name) {
			return outcome{call.Answer{Err: current.noSuchMethod(as.Name, c.origin != call.OfQueue)}, as}
		}
		o := outcome{current.callBack(ctx, as, c.before), as}
		switch err := o.Err; {
		case errors.Is(err, wasmrt.ErrClosed) && h.current.Load() != current:
			continue
		case errors.Is(err, wasmrt.ErrClosed):
			return outcome{Answer: notCalled(err)}
		case err == nil, isBusy(err), errors.Is(err, errNotCalled):
			return o
		default:
			o.Err = current.failure(as.Name, err)
			return o
		}
	}
}

// has says whether the plugin has a method, whoever may call it.
func (g *generation) has(name string) bool {
	_, isCallback := g.callbacks[name]
	_, isMethod := g.methods[name]
	return isCallback || isMethod
}

// callBack calls a method of this generation when one of the places for callbacks is
// free: the others are for calls.
func (g *generation) callBack(ctx context.Context, as schema.Callback, before func() error) call.Answer {
	select {
	case g.places <- struct{}{}:
		defer func() { <-g.places }()
	case <-ctx.Done():
		return notCalled(context.Cause(ctx))
	}
	if err := before(); err != nil {
		return notCalled(err)
	}
	ctx, cancel := context.WithTimeout(ctx, g.limits.MaxTimeout)
	defer cancel()
	return g.keep(ctx, as.Export, as.Request)
}
