package wasmrt

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pluginhost/pluginhost/sdk/hold"
)

// callContext is the context of a call; it leads host functions to the instance
// that calls them.
type callContext struct {
	context.Context
	instance *instance
}

type instanceKey struct{}

// Value implements context.Context.
func (c *callContext) Value(key any) any {
	switch key.(type) {
	case instanceKey:
		return c.instance
	case hold.Key:
		return c.instance
	}
	return c.Context.Value(key)
}

// instanceOf returns the instance whose call has this context, or nil.
func instanceOf(ctx context.Context) *instance {
	if c, ok := ctx.(*callContext); ok {
		return c.instance
	}
	inst, _ := ctx.Value(instanceKey{}).(*instance)
	return inst
}

// serve runs one method. The result is valid until the instance is used again
// or restored. The instance is good for another call unless the error is a
// CrashError, a HostError or ErrDeadline.
func (i *instance) serve(ctx context.Context, method string, request []byte) ([]byte, error) {
	function, ok := i.methods[method]
	if !ok {
		return nil, fmt.Errorf("%s is no method of this module", method)
	}
	ctx, err := i.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer i.leave()
	i.use(function.stack)
	result, err := i.guest.exchange(ctx, function, request)
	if err == nil {
		return result, nil
	}
	var plugin *PluginError
	var size *ResultSizeError
	var host *HostError
	switch {
	case errors.As(err, &plugin), errors.As(err, &size):
		return nil, err
	case i.ended != nil:
		return nil, i.ended
	case ctx.Err() != nil:
		return nil, ErrDeadline
	case errors.As(err, &host):
		return nil, host
	case i.linear.short != nil:
		return nil, i.crash(fmt.Errorf("%w (%w)", err, refusedMemory(i.linear.short)))
	default:
		return nil, i.crash(err)
	}
}

// crash is err with what the guest said of it.
func (i *instance) crash(err error) *CrashError {
	i.stderr.flush()
	return &CrashError{i.stderr.lastWords, err}
}

// enter begins a call of the guest; leave follows. It is ErrClosed where guests
// must stop.
func (i *instance) enter(ctx context.Context) (context.Context, error) {
	if i.stopping.Err() != nil {
		return nil, ErrClosed
	}
	i.call = &callContext{ctx, i}
	i.quiet.yes = false
	i.deadline, _ = ctx.Deadline()
	i.ended, i.linear.short, i.stderr.lastWords = nil, nil, ""
	i.turn.begin(time.Now())
	if i.linear.image != nil && i.faults {
		i.quiet.begin()
	}
	return i.call, nil
}

func (i *instance) leave() {
	i.quiet.end()
	i.turn.pause()
	i.stdout.flush()
	i.stderr.flush()
	i.call = nil
}

// nanosleep is the guest's sleep: over when the call is.
func (i *instance) nanosleep(ns int64) {
	if ns > 0 {
		i.away(func(ctx context.Context) { i.clock.sleep(ns, ctx.Done()) })
	}
}

// away runs what the guest waits for, with a context that is over when the call
// is or the guest must stop.
func (i *instance) away(wait func(context.Context)) {
	ctx, cancel := context.WithCancel(i.call)
	defer cancel()
	defer context.AfterFunc(i.stopping, cancel)()
	i.quiet.roam()
	i.turn.pause()
	wait(ctx)
	i.turn.resume()
	i.check()
}

// use says which native stack is in use; all of it is charged already.
func (i *instance) use(stack nativeStack) { i.stack, i.stacked = stack, int64(stack.size()) }
