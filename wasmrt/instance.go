package wasmrt

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/sys"
)

// errorFlag, in the low word of a result, marks the text of an error.
const errorFlag = 1 << 31

// instance is one guest: a memory and the exports that work on it. It serves
// one call at a time.
type instance struct {
	module         api.Module
	memory         api.Memory
	malloc, free   api.Function
	methods        map[string]api.Function
	maxResult      int
	stdout, stderr *lineWriter
	// running is the context of the call in progress, for the guest's sleep.
	running context.Context
	// idleSince is when the instance was last given back.
	idleSince time.Time
}

// instanceKey is the context key under which a host function finds the
// instance that calls it.
type instanceKey struct{}

// newInstance makes a guest and runs its _initialize. A failure of the guest is
// a CrashError or ErrDeadline.
func (m *Module) newInstance(ctx context.Context) (*instance, error) {
	inst := &instance{
		methods:   make(map[string]api.Function),
		maxResult: m.limits.MaxResult,
	}
	inst.stdout = &lineWriter{output: m.output, stream: "stdout", over: inst.isOver}
	inst.stderr = &lineWriter{output: m.output, stream: "stderr", over: inst.isOver}
	config := wazero.NewModuleConfig().
		WithName(""). // a name could be taken once only
		WithStartFunctions("_initialize").
		WithSysWalltime().WithSysNanotime().WithNanosleep(inst.nanosleep).
		WithRandSource(rand.Reader).
		WithStdout(inst.stdout).WithStderr(inst.stderr)
	ctx = inst.begin(ctx)
	defer inst.end()
	module, err := m.runtime.InstantiateModule(ctx, m.compiled, config)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ErrDeadline
		}
		var exit *sys.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("unexpected exit_code: %d", exit.ExitCode())
		}
		return nil, &CrashError{err}
	}
	inst.module, inst.memory = module, module.Memory()
	inst.malloc, inst.free = module.ExportedFunction("malloc"), module.ExportedFunction("free")
	for _, service := range m.services {
		for _, method := range service.Methods {
			inst.methods[method] = module.ExportedFunction(method)
		}
	}
	return inst, nil
}

// begin notes the context of the call that starts.
func (i *instance) begin(ctx context.Context) context.Context {
	ctx = context.WithValue(ctx, instanceKey{}, i)
	i.running = ctx
	return ctx
}

func (i *instance) end() {
	i.running = nil
	i.stdout.flush()
	i.stderr.flush()
}

// isOver says why the call in progress should end, or nil.
func (i *instance) isOver() error { return i.running.Err() }

// nanosleep is the guest's sleep: real, and over when the call is.
func (i *instance) nanosleep(ns int64) {
	if ns <= 0 {
		return
	}
	timer := time.NewTimer(time.Duration(ns))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-i.running.Done():
	}
}

// call runs one method. The instance is good for another call unless the error
// is a CrashError, a HostError or ErrDeadline.
func (i *instance) call(ctx context.Context, method string, request []byte) ([]byte, error) {
	function, ok := i.methods[method]
	if !ok {
		return nil, fmt.Errorf("%s is no method of this module", method)
	}
	ctx = i.begin(ctx)
	defer i.end()
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
	case ctx.Err() != nil:
		return nil, ErrDeadline
	case errors.As(err, &host):
		return nil, host
	default:
		return nil, &CrashError{err}
	}
}

// exchange passes request through the guest's memory and reads the result, as
// the binary interface has it: malloc, method, free the result, free the
// request.
func (i *instance) exchange(ctx context.Context, function api.Function, request []byte) ([]byte, error) {
	var ptr uint32
	var err error
	if len(request) > 0 {
		if ptr, err = i.write(ctx, request); err != nil {
			return nil, err
		}
	}
	stack := [2]uint64{uint64(ptr), uint64(len(request))}
	if err := function.CallWithStack(ctx, stack[:]); err != nil {
		return nil, err
	}
	result, failed, err := i.read(ctx, stack[0])
	if err != nil {
		var size *ResultSizeError
		if !errors.As(err, &size) {
			return nil, err
		}
	}
	if len(request) > 0 {
		if freeErr := i.release(ctx, ptr); freeErr != nil {
			return nil, freeErr
		}
	}
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
	stack := [1]uint64{uint64(len(b))}
	if err := i.malloc.CallWithStack(ctx, stack[:]); err != nil {
		return 0, err
	}
	ptr := uint32(stack[0])
	if !i.memory.Write(ptr, b) {
		return 0, errOutOfMemoryRange("Write", ptr, uint32(len(b)), i.memory.Size())
	}
	return ptr, nil
}

// read copies what a packed result points to and frees it in the guest. failed
// tells that it is the text of an error.
func (i *instance) read(ctx context.Context, packed uint64) (result []byte, failed bool, err error) {
	ptr, size := uint32(packed>>32), uint32(packed)
	failed = size&errorFlag != 0
	size &^= errorFlag
	view, ok := i.memory.Read(ptr, size)
	if !ok {
		return nil, failed, errOutOfMemoryRange("Read", ptr, size, i.memory.Size())
	}
	if int(size) > i.maxResult {
		err = &ResultSizeError{Size: int(size), Limit: i.maxResult}
	} else if size > 0 {
		// The guest may reuse the memory as soon as it is freed.
		result = append(result, view...)
	}
	if ptr != 0 {
		if freeErr := i.release(ctx, ptr); freeErr != nil {
			return nil, failed, freeErr
		}
	}
	return result, failed, err
}

func (i *instance) release(ctx context.Context, ptr uint32) error {
	stack := [1]uint64{uint64(ptr)}
	return i.free.CallWithStack(ctx, stack[:])
}

func (i *instance) close(ctx context.Context) {
	// Closing an instance reports only what its guest exited with.
	_ = i.module.Close(ctx)
}
