package replica

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/wasmrt"
)

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
// the call MaxTimeout. errNotCalled says that nothing was run, any other error is
// that of the call.
func (h *hosted) callBack(ctx context.Context, name string, request []byte) ([]byte, error) {
	for wait := callbackPause; ; wait = min(2*wait, callbackPatience) {
		answer, err := h.callOnce(ctx, name, request)
		switch {
		case errors.Is(err, subjects.ErrUnavailable):
			return nil, fmt.Errorf("%w: %w", errNotCalled, err)
		case !errors.Is(err, subjects.ErrOverloaded) && !errors.Is(err, wasmrt.ErrDeadlineInQueue):
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

func (h *hosted) callOnce(ctx context.Context, name string, request []byte) (answer []byte, err error) {
	method, err := h.resolve(name, true)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, h.replica.config.Load().Runtime.For(h.id).MaxTimeout)
	defer cancel()
	method.Call(ctx, request, func(response []byte, failure error) {
		// It is the guest's memory until the call is over.
		answer, err = bytes.Clone(response), failure
	})
	return answer, err
}
