package plugin

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// exchange gives two folders each other's name, at once. errors.ErrUnsupported is that this file system cannot.
func exchange(a, b string) error {
	err := unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS):
		return fmt.Errorf("exchange: %w", errors.ErrUnsupported)
	default:
		return &os.LinkError{Op: "exchange", Old: a, New: b, Err: err}
	}
}
