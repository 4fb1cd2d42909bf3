package rewrite

import (
	"errors"
	"fmt"
)

var (
	// ErrUnsupported says that a module uses what the host does not offer, or
	// what this package does not know and therefore will not touch.
	ErrUnsupported = errors.New("not supported")
	// ErrLimit says that a module declares more of something than the host
	// takes, or than its own bytes can hold.
	ErrLimit = errors.New("over the limit")

	errShort    = errors.New("unexpected end")
	errTooLong  = errors.New("integer has too many bits")
	errTrailing = errors.New("bytes left over")
)

// Error says why a module was refused and where.
type Error struct {
	// Section is the name of the section, "header" before the first.
	Section string
	// Item is the entry of the section, such as "function 12"; may be empty.
	Item string
	// Offset is the byte in the module.
	Offset int
	// Err is what is wrong there. It wraps ErrUnsupported or ErrLimit unless
	// the module is simply malformed.
	Err error
}

func (e *Error) Error() string {
	if e.Item == "" {
		return fmt.Sprintf("%s section: at byte %#x: %v", e.Section, e.Offset, e.Err)
	}
	return fmt.Sprintf("%s section: %s at byte %#x: %v", e.Section, e.Item, e.Offset, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// outOfRange is the error for an index that the module does not have.
func outOfRange(what string, index, count uint32) error {
	return fmt.Errorf("%s %d is out of range, there are %d", what, index, count)
}
