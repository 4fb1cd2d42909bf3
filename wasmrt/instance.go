package wasmrt

import (
	"context"
	cryptorand "crypto/rand"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/sys"

	"github.com/pluginhost/pluginhost/wasmrt/internal/rewrite"
)

// instance is one guest: a memory and the exports that work on it. It serves
// one call at a time.
type instance struct {
	module         api.Module
	memory         api.Memory
	linear         *memory
	globals        []api.MutableGlobal // those of an image
	guest          guest               // as the ABI calls it
	methods        map[string]export
	maxResult      int
	clock          clock
	random         *rand.ChaCha8
	stdout, stderr *lineWriter

	// The call in progress: its context, its deadline if it has one, the native
	// stack of its method, and why the host has ended it, if it has.
	call     *callContext
	deadline time.Time
	stack    nativeStack
	ended    error
	turn     turn
	// stacked is how much of stack is charged, stacks are all native stacks, shared those of
	// them that any call may use, and fixed is what else the instance takes besides its
	// memory, in bytes.
	stacked        int64
	stacks, shared []nativeStack
	fixed          int64
	faults         bool // those of the call's thread can be counted
	quiet          quiet

	// stopping is that of the module.
	stopping context.Context
	// hosted tells that the guest has called a function of the host.
	hosted bool
	// idleSince is when the instance was last given back.
	idleSince time.Time
}

// export is a function of a guest.
type export struct {
	api.Function
	stack nativeStack
}

func exportOf(module api.Module, name string) export {
	function := module.ExportedFunction(name)
	return export{function, nativeStackOf(function)}
}

// beginning is what an instance starts with.
type beginning struct {
	// image holds the memory and globals of an instance that is initialised.
	// Without one, the guest's start functions run on a memory that holds data.
	image  *image
	data   []rewrite.Segment
	clock  clock
	output *output
	// spare is an instance that no call waits for.
	spare bool
}

// newInstance makes a guest. A failure of the guest is a *CrashError or
// ErrDeadline; too little memory for all guests is ErrHostMemory.
func (m *Module) newInstance(ctx context.Context) (*instance, error) {
	return m.begin(ctx, beginning{image: m.image, clock: m.clock, output: m.output})
}

func (m *Module) begin(ctx context.Context, from beginning) (_ *instance, err error) {
	linear, err := m.newMemory(from)
	if err != nil {
		return nil, err
	}
	inst := &instance{
		linear:    linear,
		methods:   make(map[string]export),
		maxResult: m.limits.MaxResult,
		clock:     from.clock,

		stopping: m.stopping,
		faults:   m.isolator.faults,
		random:   rand.NewChaCha8(seed()),
		turn:     turn{processors: m.processors},
	}
	inst.guest = m.abi.bind(inst)
	inst.stdout = &lineWriter{output: from.output, stream: "stdout", giveWay: inst.check}
	inst.stderr = &lineWriter{output: from.output, stream: "stderr", giveWay: inst.check}
	config := wazero.NewModuleConfig().
		WithName(""). // a name could be taken once only
		WithWalltime(inst.clock.walltime, sys.ClockResolution(time.Microsecond)).
		WithNanotime(inst.clock.nanotime, sys.ClockResolution(time.Nanosecond)).
		WithNanosleep(inst.nanosleep).
		WithRandSource(randomness{inst.check}).
		WithStartFunctions()
	if from.image == nil {
		config = config.WithStartFunctions(m.abi.start()...)
	}
	ctx, err = inst.enter(ctx)
	if err != nil {
		linear.Free()
		return nil, err
	}
	defer inst.leave()
	ctx = experimental.WithMemoryAllocator(ctx, allocator{linear})
	inst.module, err = m.runtime.InstantiateModule(ctx, m.compiled, config)
	if err == nil && inst.module.IsClosed() {
		// To wazero an exit with 0 is no error, but nothing is left of the module.
		err = sys.NewExitError(0)
	}
	if err != nil {
		linear.Free()
		if inst.ended != nil {
			return nil, inst.ended
		}
		if ctx.Err() != nil {
			return nil, ErrDeadline
		}
		var exit *sys.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("unexpected exit_code: %d", exit.ExitCode())
		}
		return nil, inst.crash(err)
	}
	err = m.resolve(inst, from.image)
	if err == nil {
		err = linear.charge(linear.visible, inst.aside(), 0, !from.spare)
	}
	if err != nil {
		inst.close(context.WithoutCancel(ctx))
		return nil, err
	}
	return inst, nil
}

// seed is of the system's randomness.
func seed() (seed [32]byte) {
	_, _ = cryptorand.Read(seed[:]) // ends the process if it fails
	return seed
}

// newMemory reserves the memory that an instance starts with.
func (m *Module) newMemory(from beginning) (*memory, error) {
	size := int(m.rewritten.Memory.Min) * pageSize
	if from.image != nil {
		size = from.image.size()
	}
	limit := int(min(m.limits.MaxMemory, int64(m.rewritten.Memory.Max)*pageSize)) / pageSize * pageSize
	linear := &memory{account: m.account, image: from.image, data: from.data, limit: limit}
	if err := linear.charge(int64(size), 0, 0, !from.spare); err != nil {
		return nil, err
	}
	var err error
	if linear.backing, err = m.isolator.newBacking(from.image, limit); err != nil {
		m.account.release(linear.charged)
		return nil, fmt.Errorf("%w: %w", ErrHostMemory, err)
	}
	if linear.backing.resize(size) == nil {
		linear.Free()
		return nil, fmt.Errorf("%w: the system has no %d bytes for a guest", ErrHostMemory, size)
	}
	return linear, nil
}

// resolve finds what the host uses of an instance, and gives it the globals of
// its image.
func (m *Module) resolve(inst *instance, from *image) (err error) {
	inst.memory = inst.module.Memory()
	for _, method := range m.abi.methods() {
		function := exportOf(inst.module, method)
		inst.methods[method] = function
		inst.stacks = append(inst.stacks, function.stack)
	}
	inst.shared = inst.guest.resolve(inst.module)
	inst.stacks = append(inst.stacks, inst.shared...)
	inst.fixed = m.fixed()
	if inst.globals, err = globalsOf(inst.module, m.rewritten.Globals); err != nil {
		return err
	}
	if from != nil {
		return inst.setGlobals(from)
	}
	return nil
}

// settle frees in the guest what the last call left allocated, and reports
// whether the instance is good for another call.
func (i *instance) settle(ctx context.Context) bool {
	ctx, err := i.enter(ctx)
	if err != nil {
		return false
	}
	defer i.leave()
	if i.guest.settle(ctx) != nil {
		return false
	}
	return !i.grewStack() && i.linear.settle(i.aside()) == nil
}

// restore makes the instance what its image is.
func (i *instance) restore() error {
	if i.grewStack() {
		return errNativeStack
	}
	if err := i.linear.restore(i.memory, i.quiet.yes, i.aside()); err != nil {
		return err
	}
	return i.setGlobals(i.linear.image)
}

// setGlobals makes the globals those of an image, and its pseudo-random
// generators go ways of their own.
func (i *instance) setGlobals(from *image) error {
	for n, global := range i.globals {
		if global.Get() != from.globals[n] {
			global.Set(from.globals[n])
		}
	}
	for _, at := range from.generators {
		state, ok := i.memory.Read(uint32(at), generatorBytes)
		if !ok {
			return errOutOfMemoryRange("Read", uint32(at), generatorBytes, i.memory.Size())
		}
		_, _ = i.random.Read(state) // never fails
	}
	return nil
}

// aside is what hangs on the instance besides its memory, in bytes.
func (i *instance) aside() int64 {
	bytes := i.fixed
	for _, stack := range i.stacks {
		bytes += int64(stack.size())
	}
	return bytes
}

// Costs of what an instance has, in bytes: for each entry of a table and of an element
// segment, with the function that it names, for each global, and for the instance itself
// with small requests and responses of functions of the host.
const (
	tableEntryBytes = 8
	elementBytes    = 40
	globalBytes     = 96
	instanceBytes   = 64 << 10
)

// fixed is what an instance takes besides its memory and native stacks, in bytes.
func (m *Module) fixed() int64 {
	r := m.rewritten
	return instanceBytes + int64(r.TableEntries)*tableEntryBytes + int64(r.Elements)*elementBytes + int64(r.GlobalCount)*globalBytes
}

// grewStack tells that native memory hangs on the instance.
func (i *instance) grewStack() bool {
	longest := i.stack.size()
	for _, stack := range i.shared {
		longest = max(longest, stack.size())
	}
	return longest > keptNativeStack
}

func (i *instance) close(ctx context.Context) {
	// Closing an instance reports only what its guest exited with.
	_ = i.module.Close(ctx)
}
