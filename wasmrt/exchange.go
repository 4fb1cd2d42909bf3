package wasmrt

import (
	"context"
	"errors"
	"fmt"
)

// errorFlag, in the low word of a result, marks the text of an error.
const errorFlag = 1 << 31

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
	result, err := i.exchange(ctx, function, request)
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

// exchange passes request through the guest's memory and finds the result, as
// the binary interface has it: malloc, then the method. What it leaves allocated
// is for settle to free.
func (i *instance) exchange(ctx context.Context, function export, request []byte) ([]byte, error) {
	var ptr uint32
	var err error
	i.held = i.held[:0]
	if len(request) > 0 {
		if ptr, err = i.write(ctx, request); err != nil {
			return nil, err
		}
		i.held = append(i.held, ptr)
	}
	i.methodStack = [2]uint64{uint64(ptr), uint64(len(request))}
	if err := function.CallWithStack(ctx, i.methodStack[:]); err != nil {
		return nil, err
	}
	result, failed, err := i.view(i.methodStack[0])
	if err != nil {
		return nil, err
	}
	if failed {
		return nil, &PluginError{string(result)}
	}
	return result, nil
}

// write copies b into memory that the guest allocates for it.
func (i *instance) write(ctx context.Context, b []byte) (uint32, error) {
	return i.place(ctx, i.malloc, i.plainStack[:], b)
}

// answer is write while a function of the guest waits for the host.
func (i *instance) answer(ctx context.Context, b []byte) (uint32, error) {
	if i.answering {
		return 0, errAnswering
	}
	i.answering = true
	defer func() { i.answering = false }()
	return i.place(ctx, i.answers, i.answerStack[:], b)
}

var errAnswering = errors.New("malloc calls a function of the host that answers")

func (i *instance) place(ctx context.Context, malloc export, stack []uint64, b []byte) (uint32, error) {
	defer func(before nativeStack, stacked int64) { i.stack, i.stacked = before, stacked }(i.stack, i.stacked)
	i.use(malloc.stack)
	stack[0] = uint64(len(b))
	if err := malloc.CallWithStack(ctx, stack); err != nil {
		return 0, err
	}
	ptr := uint32(stack[0])
	if !i.memory.Write(ptr, b) {
		return 0, errOutOfMemoryRange("Write", ptr, uint32(len(b)), i.memory.Size())
	}
	return ptr, nil
}

// view finds what a packed result points to. failed tells that it is the text of
// an error.
func (i *instance) view(packed uint64) (result []byte, failed bool, err error) {
	ptr, size := uint32(packed>>32), uint32(packed)
	failed = size&errorFlag != 0
	size &^= errorFlag
	result, ok := i.memory.Read(ptr, size)
	if !ok {
		return nil, failed, errOutOfMemoryRange("Read", ptr, size, i.memory.Size())
	}
	if ptr != 0 {
		i.held = append(i.held, ptr)
	}
	if int(size) > i.maxResult {
		return nil, failed, &ResultSizeError{Size: int(size), Limit: i.maxResult}
	}
	return result, failed, nil
}
