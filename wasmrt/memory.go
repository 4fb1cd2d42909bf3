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
	// needs is how many bytes the system has to give for the first size bytes.
	needs(size int) int64
	// resize returns the first size bytes, or nil where the system has none
	// left. What is beyond the image and was not visible before is zero, except
	// after a smaller size that no restore followed.
	resize(size int) []byte
	// restore makes all bytes what they were at first and returns how many of
	// them stay private to this memory. quiet says that since the last restore the guest
	// has written only to pages that were private then, or have become visible since.
	restore(quiet bool) (private int64, err error)
	free()
}

// memory is the linear memory of one instance. It implements
// experimental.LinearMemory.
type memory struct {
	backing backing
	account *account
	image   *image // nil is none
	data    []rewrite.Segment
	limit   int   // bytes
	size    int   // what the guest sees, bytes
	charged int64 // what the account was asked for
	// visible is the part of charged that the memory itself takes, aside what else hangs
	// on the instance, and held what the host keeps for the call in progress.
	visible, aside, held int64
	// shrink asks Reallocate for the size of the image: wazero takes whatever
	// it returns, and has no other way back.
	shrink bool
	// short is why the guest was refused memory for lack of budget, or nil.
	short error
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
	if err := m.charge(m.backing.needs(int(size)), m.aside, m.held, false); err != nil {
		m.short = err
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

// charge makes the account know of what the memory takes, what else hangs on the
// instance and what the host holds for it. With reclaim idle instances may be closed for
// that. After an error everything is as it was.
func (m *memory) charge(visible, aside, held int64, reclaim bool) error {
	switch more := visible + aside + held - m.charged; {
	case more > 0:
		reserve := m.account.reserve
		if reclaim {
			reserve = m.account.reserveByReclaiming
		}
		if err := reserve(more); err != nil {
			return err
		}
		m.charged += more
	case more < 0:
		m.account.release(-more)
		m.charged += more
	}
	m.visible, m.aside, m.held = visible, aside, held
	return nil
}

// hold charges bytes that the host keeps for the call in progress.
func (m *memory) hold(bytes int64) error { return m.charge(m.visible, m.aside, m.held+bytes, false) }

// letGo gives back what the host has held beyond a former sum.
func (m *memory) letGo(held int64) { _ = m.charge(m.visible, m.aside, held, false) }

// settle charges what else hangs on the instance now, and no longer what was held.
func (m *memory) settle(aside int64) error { return m.charge(m.visible, aside, 0, false) }

// Free gives the memory back.
func (m *memory) Free() {
	m.account.release(m.charged)
	m.charged, m.visible, m.aside, m.held = 0, 0, 0, 0
	m.backing.free()
}

// restore makes the memory what the image is, for wasm, which is the same
// memory as wazero knows it. quiet is that of backing; aside is what else hangs on the
// instance now.
func (m *memory) restore(wasm api.Memory, quiet bool, aside int64) error {
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
	return m.charge(private, aside, 0, false)
}

// allocator hands memory to one instance.
type allocator struct{ memory *memory }

var _ experimental.MemoryAllocator = allocator{}

// Allocate is called once, when the instance is made.
func (a allocator) Allocate(_, _ uint64) experimental.LinearMemory { return a.memory }

// wake makes the account know of all of the memory before a call may write it, and of
// what the host holds for that call.
func (m *memory) wake(held int64) error {
	return m.charge(m.backing.needs(m.size), m.aside, held, true)
}
