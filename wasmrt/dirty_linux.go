package wasmrt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// dirtyPages tells which pages of a private mapping of a file are no longer the
// file's.
type dirtyPages interface {
	// each calls visit with the bounds of runs of such pages, in bytes from the
	// start of memory, which is whole pages. What is in regions does not matter.
	each(memory []byte, regions *pageRegions, visit func(from, to int)) error
}

// pagemapScan asks the kernel for the runs: PAGEMAP_SCAN, Linux 6.7.
type pagemapScan struct{ pagemap uintptr }

// The interface of PAGEMAP_SCAN, from the kernel's
// Documentation/admin-guide/mm/pagemap.rst and include/uapi/linux/fs.h.
const (
	ioctlPagemapScan = 0xc0606610 // _IOWR('f', 16, struct pm_scan_arg)

	pageIsFile    = 1 << 2
	pageIsPresent = 1 << 3
	pageIsSwapped = 1 << 4
)

type pmScanArg struct {
	size, flags, start, end, walkEnd, vec, vecLen, maxPages       uint64
	categoryInverted, categoryMask, categoryAnyofMask, returnMask uint64
}

// pageRegions is what one request can tell. It must be on the heap: the kernel
// is given its address as a number.
type pageRegions [64]struct{ start, end, categories uint64 }

func (s pagemapScan) each(memory []byte, regions *pageRegions, visit func(from, to int)) error {
	base := uint64(uintptr(unsafe.Pointer(unsafe.SliceData(memory))))
	arg := pmScanArg{
		start: base, end: base + uint64(len(memory)),
		vec: uint64(uintptr(unsafe.Pointer(regions))), vecLen: uint64(len(regions)),
		categoryInverted: pageIsFile, categoryMask: pageIsFile, categoryAnyofMask: pageIsPresent | pageIsSwapped, returnMask: pageIsPresent,
	}
	arg.size = uint64(unsafe.Sizeof(arg))
	for arg.start < arg.end {
		n, _, errno := unix.Syscall(unix.SYS_IOCTL, s.pagemap, ioctlPagemapScan, uintptr(unsafe.Pointer(&arg)))
		if errno != 0 {
			return fmt.Errorf("scan the pages: %w", errno)
		}
		for _, r := range regions[:n] {
			visit(int(r.start-base), int(r.end-base))
		}
		if arg.walkEnd <= arg.start {
			return errors.New("scan the pages: no progress")
		}
		arg.start = arg.walkEnd
	}
	return nil
}

// pagemapRead reads an entry for each page.
type pagemapRead struct{ pagemap *os.File }

// Bits of an entry, from the same document.
const (
	entryPresent = 1 << 63
	entrySwapped = 1 << 62
	entryFile    = 1 << 61
	entryBytes   = 8
)

func (p pagemapRead) each(memory []byte, _ *pageRegions, visit func(from, to int)) error {
	var buf [512 * entryBytes]byte
	base := int64(uintptr(unsafe.Pointer(unsafe.SliceData(memory))))
	for page, pages := 0, len(memory)/pageBytes; page < pages; {
		entries := buf[:min(pages-page, len(buf)/entryBytes)*entryBytes]
		if _, err := p.pagemap.ReadAt(entries, (base/int64(pageBytes)+int64(page))*entryBytes); err != nil {
			return fmt.Errorf("read the page map: %w", err)
		}
		for ; len(entries) > 0; entries = entries[entryBytes:] {
			entry := binary.NativeEndian.Uint64(entries)
			if entry&(entryPresent|entrySwapped) != 0 && entry&entryFile == 0 {
				visit(page*pageBytes, (page+1)*pageBytes)
			}
			page++
		}
	}
	return nil
}

// pagesUnknown is for kernels that tell nothing.
type pagesUnknown struct{}

var errPagesUnknown = errors.New("the kernel does not tell which pages were written")

func (pagesUnknown) each([]byte, *pageRegions, func(from, to int)) error { return errPagesUnknown }
