package wasmrt

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// isolators open those that only Linux has, the fastest first.
func isolators() []func() (isolator, error) {
	asking := func(name string, dirty func(pagemap *os.File) dirtyPages) func() (isolator, error) {
		return func() (isolator, error) {
			pagemap, err := os.Open("/proc/self/pagemap")
			if err != nil {
				return isolator{}, err
			}
			return isolator{name, fileImage, newMapped(dirty(pagemap)), pagemap.Close}, nil
		}
	}
	return []func() (isolator, error){
		asking("pagemap scan", func(f *os.File) dirtyPages { return pagemapScan{f.Fd()} }),
		asking("pagemap", func(f *os.File) dirtyPages { return pagemapRead{f} }),
		func() (isolator, error) {
			return isolator{"madvise", fileImage, newMapped(pagesUnknown{}), func() error { return nil }}, nil
		},
	}
}

// fileImage puts an image into a file in memory that nobody can change.
func fileImage(bytes []byte) (_ *image, err error) {
	fd, err := unix.MemfdCreate("pluginhost-image", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("file for an image: %w", err)
	}
	file := os.NewFile(uintptr(fd), "image")
	defer func() {
		if err != nil {
			err = errors.Join(err, file.Close())
		}
	}()
	if _, err := file.Write(bytes); err != nil {
		return nil, fmt.Errorf("write an image: %w", err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_WRITE|unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL); err != nil {
		return nil, fmt.Errorf("seal an image: %w", err)
	}
	i := &image{file: file, close: file.Close}
	if len(bytes) == 0 {
		return i, nil
	}
	if i.bytes, err = unix.Mmap(fd, 0, len(bytes), unix.PROT_READ, unix.MAP_SHARED); err != nil {
		return nil, fmt.Errorf("map an image: %w", err)
	}
	i.close = func() error { return errors.Join(unix.Munmap(i.bytes), file.Close()) }
	return i, nil
}
