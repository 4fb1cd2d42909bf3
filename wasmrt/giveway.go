package wasmrt

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/sys"

	"github.com/pluginhost/pluginhost/wasmrt/internal/rewrite"
)

var errNativeStack = errors.New("stack overflow: the calls of the guest nest too deeply")

// instantiateGiveWay makes the module that holds the function which rewritten
// guests call every so often.
func instantiateGiveWay(ctx context.Context, runtime wazero.Runtime) error {
	_, err := runtime.NewHostModuleBuilder(rewrite.ImportModule).
		NewFunctionBuilder().
		WithGoFunction(api.GoFunc(giveWay), nil, []api.ValueType{api.ValueTypeI32}).
		Export(rewrite.ImportName).
		Instantiate(ctx)
	return err
}

// giveWay ends the guest's call if its time is over, and else says how far the
// guest may count until it asks again. Being called is a point where the
// scheduler of the host gets in.
func giveWay(ctx context.Context, stack []uint64) {
	if inst := instanceOf(ctx); inst != nil {
		inst.check()
	}
	stack[0] = rewrite.Period
}

// check ends the call in progress if it must end, and lets others compute if it
// is time for that.
func (i *instance) check() {
	i.quiet.roam()
	now := time.Now()
	switch {
	case i.call.Err() != nil, !i.deadline.IsZero() && !now.Before(i.deadline):
		i.end(ErrDeadline)
	case i.stopping.Err() != nil:
		i.end(&CrashError{Err: errStopped})
	case i.stack.size() > maxNativeStack:
		i.end(&CrashError{Err: errNativeStack})
	case i.stackShort() != nil:
		i.end(&CrashError{Err: fmt.Errorf("%w: %w", errNativeStack, refusedMemory(i.linear.short))})
	case i.turn.give(i.call, i.stopping, now) != nil:
		i.check() // says which
	}
}

// stackShort charges what the native stack in use has grown by since it was last looked
// at, and says why that cannot be.
func (i *instance) stackShort() error {
	size := int64(i.stack.size())
	if size <= i.stacked {
		return nil
	}
	if err := i.linear.charge(i.linear.visible, i.linear.aside+size-i.stacked, i.linear.held, false); err != nil {
		i.linear.short = err
		return err
	}
	i.stacked = size
	return nil
}

// end unwinds the guest. wazero returns an exit error without looking at the
// guest's stack, which may be long; why is kept for it.
func (i *instance) end(why error) {
	i.ended = why
	panic(sys.NewExitError(sys.ExitCodeDeadlineExceeded))
}
