package wasmrt

import (
	"context"
	"errors"
	"fmt"

	"github.com/tetratelabs/wazero/api"
)

// goPluginGuest is a guest of the ABI GoPlugin.
type goPluginGuest struct {
	instance     *instance
	services     []Service
	malloc, free export
	// answers is malloc once more, for the responses of host functions: they come
	// while another function of the guest runs, which may be malloc itself, and
	// wazero keeps one stack for each export that was looked up. answering tells
	// that it runs.
	answers   export
	answering bool
	// Where parameters and results are passed: of a method, of answers, of the
	// others.
	methodStack             [2]uint64
	answerStack, plainStack [1]uint64
	// held is what the last call left allocated.
	held []uint32
}

func (g *goPluginGuest) resolve(module api.Module) []nativeStack {
	g.malloc, g.free = exportOf(module, exportMalloc), exportOf(module, exportFree)
	g.answers = exportOf(module, exportMalloc)
	return []nativeStack{g.malloc.stack, g.free.stack, g.answers.stack}
}

// warm allocates what settle frees.
func (g *goPluginGuest) warm(ctx context.Context) error {
	for _, size := range [...]int{64, 4096} {
		ptr, err := g.write(ctx, make([]byte, size))
		if err != nil {
			return err
		}
		g.held = append(g.held, ptr)
	}
	return nil
}

// verify asks for the version of each service.
func (g *goPluginGuest) verify(ctx context.Context) error {
	for _, service := range g.services {
		result, err := g.instance.module.ExportedFunction(service.VersionExport).Call(ctx)
		if err != nil {
			return &LoadError{fmt.Errorf("%s: %w", service.VersionExport, err), ""}
		}
		if result[0] != apiVersion {
			return wrongVersion(result[0])
		}
	}
	return nil
}

// exchange passes request through the guest's memory and finds the result: malloc, then the
// method. What it leaves allocated is for settle to free.
func (g *goPluginGuest) exchange(ctx context.Context, method export, request []byte) ([]byte, error) {
	var ptr uint32
	var err error
	g.held = g.held[:0]
	if len(request) > 0 {
		if ptr, err = g.write(ctx, request); err != nil {
			return nil, err
		}
		g.held = append(g.held, ptr)
	}
	g.methodStack = [2]uint64{uint64(ptr), uint64(len(request))}
	if err := method.CallWithStack(ctx, g.methodStack[:]); err != nil {
		return nil, err
	}
	result, failed, err := g.view(g.methodStack[0])
	if err != nil {
		return nil, err
	}
	if failed {
		return nil, &PluginError{string(result)}
	}
	return result, nil
}

func (g *goPluginGuest) settle(ctx context.Context) error {
	g.instance.use(g.free.stack)
	for _, ptr := range g.held {
		g.plainStack[0] = uint64(ptr)
		if err := g.free.CallWithStack(ctx, g.plainStack[:]); err != nil {
			return err
		}
	}
	g.held = g.held[:0]
	return nil
}

// write copies b into memory that the guest allocates for it.
func (g *goPluginGuest) write(ctx context.Context, b []byte) (uint32, error) {
	return g.place(ctx, g.malloc, g.plainStack[:], b)
}

// answer is write while a function of the guest waits for the host.
func (g *goPluginGuest) answer(ctx context.Context, b []byte) (uint32, error) {
	if g.answering {
		return 0, errAnswering
	}
	g.answering = true
	defer func() { g.answering = false }()
	return g.place(ctx, g.answers, g.answerStack[:], b)
}

var errAnswering = errors.New("malloc calls a function of the host that answers")

func (g *goPluginGuest) place(ctx context.Context, malloc export, stack []uint64, b []byte) (uint32, error) {
	i := g.instance
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
func (g *goPluginGuest) view(packed uint64) (result []byte, failed bool, err error) {
	ptr, size := uint32(packed>>32), uint32(packed)
	failed = size&errorFlag != 0
	size &^= errorFlag
	memory, limit := g.instance.memory, g.instance.maxResult
	result, ok := memory.Read(ptr, size)
	if !ok {
		return nil, failed, errOutOfMemoryRange("Read", ptr, size, memory.Size())
	}
	if ptr != 0 {
		g.held = append(g.held, ptr)
	}
	if int(size) > limit {
		return nil, failed, &ResultSizeError{Size: int(size), Limit: limit}
	}
	return result, failed, nil
}

// serveGoPlugin answers one call that a guest makes of a host function, whose address and size
// are on the stack, where those of the response go. The interface has no channel for errors,
// so it panics with a HostError, which wazero returns from the guest's call.
func serveGoPlugin(ctx context.Context, module api.Module, f HostFunction, stack []uint64) {
	offset, size := uint32(stack[0]), uint32(stack[1])
	memory := module.Memory()
	inst := instanceOf(ctx)
	if inst == nil {
		panic(&HostError{f.Name, errors.New("called outside a call of the host")})
	}
	inst.hosted = true
	g := inst.guest.(*goPluginGuest)
	if g.answers.Function == nil {
		// Called from _initialize, before the exports were resolved.
		inst.memory, g.answers = memory, exportOf(module, exportMalloc)
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
	ptr, err := g.answer(ctx, response)
	if err != nil {
		// Includes the guest's own traps in malloc, so no HostError.
		panic(err)
	}
	inst.linear.letGo(held)
	stack[0] = uint64(ptr)<<32 | uint64(len(response))
}
