package wasmrt

import (
	"errors"
	"fmt"
	"os"
	"slices"

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
			return isolator{name: name, newImage: fileImage, newBacking: newMapped(dirty(pagemap)), close: pagemap.Close}, nil
		}
	}
	return []func() (isolator, error){
		asking("pagemap scan", func(f *os.File) dirtyPages { return pagemapScan{f.Fd()} }),
		asking("pagemap", func(f *os.File) dirtyPages { return pagemapRead{f} }),
		func() (isolator, error) {
			return isolator{name: "madvise", newImage: fileImage, newBacking: newMapped(pagesUnknown{}), close: func() error { return nil }}, nil
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
	if err := writeSparsely(file, bytes); err != nil {
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

// writeSparsely leaves out pages of zeros: they take no memory, and the kernel has
// fewer pages to look at when it is asked which were changed.
func writeSparsely(file *os.File, bytes []byte) error {
	zeros := make([]byte, pageBytes)
	for at := 0; at < len(bytes); at += pageBytes {
		page := bytes[at:min(at+pageBytes, len(bytes))]
		if slices.Equal(page, zeros[:len(page)]) {
			continue
		}
		if _, err := file.WriteAt(page, int64(at)); err != nil {
			return err
		}
	}
	return file.Truncate(int64(len(bytes)))
}
