package wasmrt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// HostFunction is a function that a guest may call.
type HostFunction struct {
	// Name is the name of the import from module env.
	Name string
	// Call takes the bytes of the request, which are valid until it returns,
	// and returns those of the response. Its context is that of the guest's
	// call, and over a little before the call's deadline: what is waited for in
	// vain is an error of the function, and the guest has time to answer with it.
	// An error ends the guest's call with a HostError.
	Call func(ctx context.Context, request []byte) ([]byte, error)
	// MaxRequest is the longest request that Call gets, in bytes; 0 is no bound.
	MaxRequest int
	// Refuse answers in the place of Call a request that is longer, of which nothing was
	// looked at but its size, and one for which there is no memory, as err says; err is
	// nil for one that is too long. Without it, either ends the guest's call with a
	// HostError.
	Refuse func(ctx context.Context, size int, err error) ([]byte, error)
}

// freeBytes is how long a request may be that is not charged: room for it is part of what
// every instance is charged.
const freeBytes = instanceBytes / 2

// maxNotice is the longest Notice.
const maxNotice = 500 * time.Millisecond

// Notice is how long before the deadline of a guest's call, of which so much is left, the
// context of a host function is over.
func Notice(left time.Duration) time.Duration { return min(left/10, maxNotice) }

const envModule = "env"

// instantiateEnv makes the module env of a runtime: exactly functions.
func instantiateEnv(ctx context.Context, runtime wazero.Runtime, functions []HostFunction) error {
	params, results := []api.ValueType{api.ValueTypeI32, api.ValueTypeI32}, []api.ValueType{api.ValueTypeI64}
	builder := runtime.NewHostModuleBuilder(envModule)
	for _, function := range functions {
		builder.NewFunctionBuilder().
			WithGoModuleFunction(api.GoModuleFunc(function.serve), params, results).
			WithParameterNames("offset", "size").
			Export(function.Name)
	}
	_, err := builder.Instantiate(ctx)
	return err
}

// serve answers one call of a guest. The interface has no channel for errors,
// so it panics with a HostError, which wazero returns from the guest's call.
func (f HostFunction) serve(ctx context.Context, module api.Module, stack []uint64) {
	offset, size := uint32(stack[0]), uint32(stack[1])
	memory := module.Memory()
	inst := instanceOf(ctx)
	if inst == nil {
		panic(&HostError{f.Name, errors.New("called outside a call of the host")})
	}
	inst.hosted = true
	if inst.answers.Function == nil {
		// Called from _initialize, before the exports were resolved.
		inst.memory, inst.answers = memory, exportOf(module, "malloc")
	}
	request, ok := memory.Read(offset, size)
	if !ok {
		panic(&HostError{f.Name, errOutOfMemoryRange("Read", offset, size, memory.Size())})
	}
	held := inst.linear.held
	response, err := f.answer(inst, request)
	if err != nil {
		panic(&HostError{f.Name, err})
	}
	if len(response) == 0 {
		inst.linear.letGo(held)
		stack[0] = 0
		return
	}
	ptr, err := inst.answer(ctx, response)
	if err != nil {
		// Includes the guest's own traps in malloc, so no HostError.
		panic(err)
	}
	inst.linear.letGo(held)
	stack[0] = uint64(ptr)<<32 | uint64(len(response))
}

// answer has the host answer a request, or refuse it.
func (f HostFunction) answer(inst *instance, request []byte) (response []byte, err error) {
	size := len(request)
	refused := f.MaxRequest > 0 && size > f.MaxRequest
	if !refused && size > freeBytes {
		// The service makes a copy of what is in it.
		if err = inst.Hold(size); err != nil {
			refused = true
		}
	}
	if !refused {
		inst.away(func(ctx context.Context) {
			ctx, cancel := inst.early(ctx)
			defer cancel()
			response, err = f.Call(ctx, request)
		})
		return response, err
	}
	if f.Refuse == nil {
		return nil, cmp.Or(err, error(&RequestSizeError{size, f.MaxRequest}))
	}
	inst.away(func(ctx context.Context) { response, err = f.Refuse(ctx, size, err) })
	return response, err
}

// early ends a context a little before the call's deadline.
func (i *instance) early(ctx context.Context) (context.Context, context.CancelFunc) {
	if i.deadline.IsZero() {
		return ctx, func() {}
	}
	return context.WithDeadline(ctx, i.deadline.Add(-Notice(time.Until(i.deadline))))
}

// Hold implements hold.Holder, for the functions of the host that the instance calls.
func (i *instance) Hold(bytes int) error {
	if err := i.linear.hold(int64(bytes)); err != nil {
		return refusedMemory(err)
	}
	return nil
}

func errOutOfMemoryRange(operation string, ptr, size, memorySize uint32) error {
	return fmt.Errorf("Memory.%s(%d, %d) out of range of memory size %d", operation, ptr, size, memorySize)
}
