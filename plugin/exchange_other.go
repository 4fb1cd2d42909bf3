//go:build !linux

package plugin

import "errors"

// exchange cannot be done at once here.
func exchange(_, _ string) error { return errors.ErrUnsupported }
