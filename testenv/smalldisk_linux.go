package testenv

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// SmallDisk is a file system of few bytes, in memory, that a test can fill.
type SmallDisk struct {
	// Folder is where it is mounted.
	Folder string

	t testing.TB
}

// NewSmallDisk mounts one until the test ends. A user who may not mount skips the test.
func NewSmallDisk(t testing.TB, bytes int) *SmallDisk {
	t.Helper()
	d := &SmallDisk{Folder: t.TempDir(), t: t}
	err := mountSmall(d.Folder, bytes)
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		t.Skipf("a small file system cannot be mounted by this user: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(d.Folder, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return d
}

func mountSmall(folder string, bytes int) error {
	return unix.Mount("tmpfs", folder, "tmpfs", 0, fmt.Sprintf("size=%d", bytes))
}

// CanMountSmallDisk mounts one and takes it away again: its error is that of NewSmallDisk.
func CanMountSmallDisk() error {
	folder, err := os.MkdirTemp("", "smalldisk")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(folder) }()
	if err := mountSmall(folder, 1<<20); err != nil {
		return err
	}
	return unix.Unmount(folder, unix.MNT_DETACH)
}

func (d *SmallDisk) filler() string { return filepath.Join(d.Folder, "filler") }

// Fill takes every byte that is free.
func (d *SmallDisk) Fill() {
	d.t.Helper()
	file, err := os.OpenFile(d.filler(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	for size := int64(1 << 20); size > 0; {
		_, err := io.CopyN(file, zeros{}, size)
		switch {
		case errors.Is(err, syscall.ENOSPC):
			size /= 2
		case err != nil:
			d.t.Fatal(err)
		}
	}
}

// Free frees what Fill has taken.
func (d *SmallDisk) Free() {
	d.t.Helper()
	if err := os.Remove(d.filler()); err != nil {
		d.t.Fatal(err)
	}
}

// zeros is a reader without end.
type zeros struct{}

// Read implements io.Reader.
func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
