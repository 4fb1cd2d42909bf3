//go:build !race

package compiler

import (
	"runtime"
	"syscall"
)

// useLargePages has what Go allocates next lie in pages of 2 MiB as far as the system has some: a
// page of 4 KiB costs microseconds when it is used first, and compiling a module of Go uses
// thirty thousand. No memory is in use by that.
func useLargePages(size int64) {
	reserved := make([]byte, size)
	_ = syscall.Madvise(reserved, syscall.MADV_HUGEPAGE)
	runtime.KeepAlive(reserved)
	runtime.GC() // its addresses are given out next
}
