package wasmrt

import "golang.org/x/sys/unix"

// faultCounter counts the page faults of the thread that asks.
type faultCounter struct{ usage unix.Rusage }

// count returns how many there were, or -1 where that cannot be told.
func (c *faultCounter) count() int64 {
	if unix.Getrusage(unix.RUSAGE_THREAD, &c.usage) != nil {
		return -1
	}
	return int64(c.usage.Minflt) + int64(c.usage.Majflt) //nolint:unconvert // 32 bits on some systems
}
