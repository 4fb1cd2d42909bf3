package wasmrt

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mapped is a backing in address space of its own: the image's file, mapped
// privately, then zeros, then addresses that cannot be used yet. What a guest
// does not write is shared by all instances of the image.
type mapped struct {
	image    *image // nil is none
	dirty    dirtyPages
	reserved []byte // limit bytes
	// usable is how far reserved can be read and written, used how far the
	// guest may have.
	usable, used int
	// private are the pages that were copied back last, if scanned is true all
	// that are private.
	private []pageRun
	scanned bool
	regions pageRegions
}

// maxCopied is how many pages are copied back rather than given back: those
// that are copied stay private, and are copied again the next time.
const maxCopied = 512

func newMapped(dirty dirtyPages) newBacking {
	return func(image *image, limit int) (backing, error) {
		m := &mapped{image: image, dirty: dirty}
		address, err := unix.MmapPtr(-1, 0, nil, uintptr(limit), unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
		if err != nil {
			return nil, fmt.Errorf("reserve %d bytes of addresses: %w", limit, err)
		}
		m.reserved = unsafe.Slice((*byte)(address), limit)
		if image != nil && image.size() > 0 {
			_, err := unix.MmapPtr(int(image.file.Fd()), 0, address, uintptr(image.size()), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_FIXED)
			if err != nil {
				m.free()
				return nil, fmt.Errorf("map the image: %w", err)
			}
			m.usable, m.used = image.size(), image.size()
		}
		return m, nil
	}
}

func (m *mapped) needs(size int) int64 { return int64(size) }

func (m *mapped) resize(size int) []byte {
	if size > m.usable {
		if unix.Mprotect(m.reserved[m.usable:size], unix.PROT_READ|unix.PROT_WRITE) != nil {
			return nil
		}
		m.usable = size
	}
	m.used = max(m.used, size)
	return m.reserved[:size:size]
}

func (m *mapped) restore(quiet bool) (private int64, err error) {
	if size := m.image.size(); m.used > size {
		if err := unix.Madvise(m.reserved[size:m.used], unix.MADV_DONTNEED); err != nil {
			return 0, fmt.Errorf("give back grown memory: %w", err)
		}
		m.used = size
	}
	memory := m.reserved[:m.image.size()]
	if len(memory) == 0 {
		return 0, nil
	}
	if !quiet || !m.scanned {
		m.scan(memory)
	}
	if !m.scanned {
		if err := unix.Madvise(memory, unix.MADV_DONTNEED); err != nil {
			return 0, fmt.Errorf("give back changed memory: %w", err)
		}
		return 0, nil
	}
	for _, run := range m.private {
		private += int64(copy(memory[run.from:run.to], m.image.bytes[run.from:run.to]))
	}
	return private, nil
}

// scan finds the private pages, unless they are too many or not to be told.
func (m *mapped) scan(memory []byte) {
	m.private = m.private[:0]
	pages := 0
	err := m.dirty.each(memory, &m.regions, func(from, to int) {
		if pages += (to - from) / pageBytes; pages <= maxCopied {
			m.private = append(m.private, pageRun{from, to})
		}
	})
	m.scanned = err == nil && pages <= maxCopied
}

// pageRun is a run of whole pages, in bytes.
type pageRun struct{ from, to int }

func (m *mapped) free() {
	if m.reserved == nil {
		return
	}
	if err := unix.MunmapPtr(unsafe.Pointer(unsafe.SliceData(m.reserved)), uintptr(len(m.reserved))); err != nil {
		panic(fmt.Sprintf("unmap the memory of an instance: %v", err)) // the arguments are ours
	}
	m.reserved = nil
}

// pageBytes is the size of a page of the system.
var pageBytes = os.Getpagesize()
