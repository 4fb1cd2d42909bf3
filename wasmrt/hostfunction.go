package wasmrt

import (
	"context"
	"errors"
	"fmt"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// HostFunction is a function that a guest may call.
type HostFunction struct {
	// Name is the name of the import from module env.
	Name string
	// Call takes the bytes of the request, which are valid until it returns,
	// and returns those of the response. Its context is that of the guest's
	// call. An error ends the guest's call with a HostError.
	Call func(ctx context.Context, request []byte) ([]byte, error)
}

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
	var response []byte
	var err error
	inst.away(func(ctx context.Context) { response, err = f.Call(ctx, request) })
	if err != nil {
		panic(&HostError{f.Name, err})
	}
	if len(response) == 0 {
		stack[0] = 0
		return
	}
	ptr, err := inst.answer(ctx, response)
	if err != nil {
		// Includes the guest's own traps in malloc, so no HostError.
		panic(err)
	}
	stack[0] = uint64(ptr)<<32 | uint64(len(response))
}

func errOutOfMemoryRange(operation string, ptr, size, memorySize uint32) error {
	return fmt.Errorf("Memory.%s(%d, %d) out of range of memory size %d", operation, ptr, size, memorySize)
}
