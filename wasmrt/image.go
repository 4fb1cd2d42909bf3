package wasmrt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/tetratelabs/wazero/api"

	"github.com/pluginhost/pluginhost/wasmrt/internal/rewrite"
)

// image is the state that every call of a generation starts from: the memory
// and the mutable globals of an instance that has been initialised.
type image struct {
	bytes []byte
	// file holds bytes where instances map them; else nil.
	file    *os.File
	globals []uint64 // in the order of Module.globals
	// generators are where the states of pseudo-random generators are in the
	// memory.
	generators []int
	close      func() error
}

// size is that of the memory, in bytes.
func (i *image) size() int { return len(i.bytes) }

// globalsOf returns the mutable globals of an instance.
func globalsOf(module api.Module, names []string) ([]api.MutableGlobal, error) {
	globals := make([]api.MutableGlobal, 0, len(names))
	for _, name := range names {
		global, ok := module.ExportedGlobal(name).(api.MutableGlobal)
		if !ok {
			return nil, fmt.Errorf("global %s cannot be set", name)
		}
		globals = append(globals, global)
	}
	return globals, nil
}

var errNotSettled = errors.New("free fails, or leaves a stack of megabytes")

// takeImage initialises an instance and makes it the image of the module. A
// second one, which differs by its randomness only, tells where the states of
// generators are; where a start function calls the host that is not done, as the host
// would be called twice.
func (m *Module) takeImage(ctx context.Context) error {
	for _, d := range m.rewritten.Data {
		if int64(d.Offset)+int64(len(d.Bytes)) > int64(m.rewritten.Memory.Min)*pageSize {
			return errSegmentOutOfBounds
		}
	}
	now := stillFrom(m.clock)
	model, err := m.initialised(ctx, m.rewritten.Data, now, m.output)
	if err != nil {
		return err
	}
	defer model.close(ctx)
	if err := m.chargeCode(model); err != nil {
		return err
	}
	var generators []int
	if !model.hosted {
		silent := newOutput(slog.New(slog.DiscardHandler))
		other, err := m.initialised(ctx, m.rewritten.Data, now, silent)
		if err != nil {
			return err
		}
		generators = findGenerators(contents(model), contents(other))
		other.close(ctx)
	}
	img, err := m.isolator.newImage(contents(model))
	if err != nil {
		return err
	}
	size := int64(img.size())
	if err := m.account.load(size); err != nil {
		return errors.Join(err, img.close())
	}
	release := img.close
	img.close = func() error {
		m.account.unload(size)
		return release()
	}
	img.generators = generators
	for _, global := range model.globals {
		img.globals = append(img.globals, global.Get())
	}
	m.image = img
	m.rewritten.Data = nil
	return nil
}

// initialised returns an instance that has run its start functions and is warm. The
// caller closes it.
func (m *Module) initialised(ctx context.Context, data []rewrite.Segment, now stillClock, output *output) (*instance, error) {
	inst, err := m.begin(ctx, beginning{data: data, clock: &now, output: output})
	if err != nil {
		return nil, err
	}
	if err := inst.warm(ctx); err != nil {
		inst.close(ctx)
		return nil, err
	}
	if !inst.settle(ctx) {
		inst.close(ctx)
		return nil, errNotSettled
	}
	return inst, nil
}

// warm has the guest set up what its first calls would, in each of them; settle follows.
func (i *instance) warm(ctx context.Context) error {
	ctx, err := i.enter(ctx)
	if err != nil {
		return err
	}
	defer i.leave()
	if err := i.guest.warm(ctx); err != nil {
		return cmp.Or(i.ended, error(i.crash(err)))
	}
	return nil
}

// contents is the memory of an instance, valid while it lives.
func contents(inst *instance) []byte {
	view, _ := inst.memory.Read(0, inst.memory.Size())
	return view
}
