//go:build !linux

package wasmrt

import "time"

// usage is what the process has used since a moment: by the clock, and of what Go has
// allocated in all.
type usage struct {
	begun     time.Time
	allocated uint64
}

func beginUsage() usage { return usage{time.Now(), allocated()} }

func (u usage) end() (time.Duration, int64) {
	return time.Since(u.begun), int64(allocated() - u.allocated)
}
