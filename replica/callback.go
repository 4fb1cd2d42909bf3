package replica

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

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

// callBack calls a callback of the plugin's current generation for the host itself.
// It waits for a place among the plugin's calls, without end but for ctx, and gives
// the call MaxTimeout. before is asked just before each attempt, and its error ends
// the waiting. still is asked once more when the plugin's guest is about to run, as calls may
// have had it wait since: it must not block, and where it says no, all begins anew; nil is
// that it need not be asked. errNotCalled says that nothing was run, and wraps the error of before
// where that is why; any other error is that of the call.
func (h *hosted) callBack(ctx context.Context, name string, request []byte, before func() error, still func() bool) ([]byte, error) {
	if still != nil {
		ctx = wasmrt.WithBegin(ctx, func() error {
			if still() {
				return nil
			}
			return errTooLate
		})
	}
	for wait := callbackPause; ; wait = min(2*wait, callbackPatience) {
		answer, err := h.callOnce(ctx, name, request, before)
		if !isBusy(err) {
			return answer, err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, fmt.Errorf("%w: %w", errNotCalled, err)
		}
	}
}

// isBusy tells a call of which nothing was run because there was no place for it.
func isBusy(err error) bool {
	return errors.Is(err, wasmrt.ErrOverloaded) || errors.Is(err, wasmrt.ErrHostMemory) || errors.Is(err, wasmrt.ErrDeadlineInQueue) || errors.Is(err, errTooLate)
}

// callOnce calls the current generation, or the one after it.
func (h *hosted) callOnce(ctx context.Context, name string, request []byte, before func() error) ([]byte, error) {
	for {
		current := h.current.Load()
		if current == nil {
			return nil, fmt.Errorf("%w: it is not served", errNotCalled)
		}
		method, ok := current.callbacks[name]
		if !ok {
			return nil, current.noSuchMethod(name, true)
		}
		answer, err := current.callBack(ctx, method.Call, request, before)
		switch {
		case errors.Is(err, wasmrt.ErrClosed) && h.current.Load() != current:
			continue
		case errors.Is(err, wasmrt.ErrClosed):
			return nil, fmt.Errorf("%w: %w", errNotCalled, err)
		case err == nil, isBusy(err), errors.Is(err, errNotCalled):
			return answer, err
		default:
			return nil, current.failure(name, err)
		}
	}
}

// callBack calls a method of this generation when one of the places for callbacks is
// free: the others are for calls.
func (g *generation) callBack(ctx context.Context, call caller, request []byte, before func() error) (answer []byte, err error) {
	select {
	case g.places <- struct{}{}:
		defer func() { <-g.places }()
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", errNotCalled, context.Cause(ctx))
	}
	if err := before(); err != nil {
		return nil, fmt.Errorf("%w: %w", errNotCalled, err)
	}
	ctx, cancel := context.WithTimeout(ctx, g.limits.MaxTimeout)
	defer cancel()
	call(ctx, request, func(response []byte, failure error) {
		// It is the guest's memory until the call is over.
		answer, err = bytes.Clone(response), failure
	})
	return answer, err
}

// caller is bus.Method.Call.
type caller = func(ctx context.Context, request []byte, reply func([]byte, error))
