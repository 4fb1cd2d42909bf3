package wasmrt

import (
	"errors"

	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/pluginhost/pluginhost/wasmrt/internal/rewrite"
)

// backing holds the bytes of a memory: first those of an image, if there is
// one, then zeros.
type backing interface {
	// resize returns the first size bytes, or nil where the system has none
	// left. What is beyond the image and was not visible before is zero, except
	// after a smaller size that no restore followed.
	resize(size int) []byte
	// restore makes all bytes what they were at first and returns how many of
	// them stay private to this memory. quiet says that since the last restore only
	// such bytes were written that had stayed private then, besides what was not
	// visible.
	restore(quiet bool) (private int64, err error)
	free()
}

// memory is the linear memory of one instance. It implements
// experimental.LinearMemory.
type memory struct {
	backing backing
	budget  *budget
	image   *image // nil is none
	data    []rewrite.Segment
	limit   int   // bytes
	size    int   // what the guest sees, bytes
	charged int64 // what the budget was asked for
	// shrink asks Reallocate for the size of the image: wazero takes whatever
	// it returns, and has no other way back.
	shrink bool
	// short tells that the guest was refused memory for lack of budget.
	short bool
}

var (
	errSegmentOutOfBounds = errors.New("a data segment is out of the bounds of the memory")
	errNotShrunk          = errors.New("the memory did not shrink")
)

// Reallocate makes the memory size bytes long, or returns nil where the guest
// may not have that much.
func (m *memory) Reallocate(size uint64) []byte {
	if m.shrink {
		size = uint64(m.image.size())
	} else if m.image != nil {
		size = max(size, uint64(m.image.size()))
	}
	if size > uint64(m.limit) {
		return nil
	}
	first := m.size == 0
	if !m.charge(int64(size), false) {
		m.short = true
		return nil
	}
	bytes := m.backing.resize(int(size))
	if bytes == nil {
		return nil
	}
	m.size = int(size)
	if first {
		for _, s := range m.data {
			copy(bytes[s.Offset:], s.Bytes)
		}
	}
	return bytes
}

// charge makes the budget know of n bytes. With reclaim idle instances may be
// closed for them.
func (m *memory) charge(n int64, reclaim bool) bool {
	switch more := n - m.charged; {
	case more > 0:
		reserve := m.budget.reserve
		if reclaim {
			reserve = m.budget.reserveByReclaiming
		}
		if !reserve(more) {
			return false
		}
	case more < 0:
		m.budget.release(-more)
	}
	m.charged = n
	return true
}

// Free gives the memory back.
func (m *memory) Free() {
	m.budget.release(m.charged)
	m.charged = 0
	m.backing.free()
}

// restore makes the memory what the image is, for wasm, which is the same
// memory as wazero knows it. quiet is that of backing.
func (m *memory) restore(wasm api.Memory, quiet bool) error {
	private, err := m.backing.restore(quiet)
	if err != nil {
		return err
	}
	if m.size != m.image.size() {
		m.shrink = true
		_, ok := wasm.Grow(1)
		m.shrink = false
		if !ok || m.size != m.image.size() {
			return errNotShrunk
		}
	}
	m.charge(private, false)
	return nil
}

// allocator hands memory to one instance.
type allocator struct{ memory *memory }

var _ experimental.MemoryAllocator = allocator{}

// Allocate is called once, when the instance is made.
func (a allocator) Allocate(_, _ uint64) experimental.LinearMemory { return a.memory }

// wake makes the budget know of all of the memory before a call may write it,
// or reports that there is not enough.
func (m *memory) wake() bool { return m.charge(int64(m.size), true) }
