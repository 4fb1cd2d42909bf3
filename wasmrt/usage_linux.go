package wasmrt

import (
	"bytes"
	"fmt"
	"os"
	"syscall"
	"time"
)

// usage is what the process has used since a moment.
type usage struct {
	time      time.Duration
	resident  int64
	allocated uint64
}

func beginUsage() usage {
	// The highest resident size begins anew. Where that is not permitted, what was before counts.
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0)
	return usage{processorTime(), residentOf("VmRSS:"), allocated()}
}

// end returns the processor time, and by how many bytes the resident size was higher or,
// without /proc, how many bytes Go has allocated in all.
func (u usage) end() (time.Duration, int64) {
	took := processorTime() - u.time
	if highest := residentOf("VmHWM:"); highest > 0 {
		return took, highest - u.resident
	}
	return took, int64(allocated() - u.allocated)
}

func processorTime() time.Duration {
	var self syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &self); err != nil {
		return 0
	}
	return time.Duration(self.Utime.Nano() + self.Stime.Nano())
}

// residentOf reads a field of /proc/self/status in bytes; 0 is one that is not there.
func residentOf(field string) int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(status) {
		if rest, found := bytes.CutPrefix(line, []byte(field)); found {
			var kilobytes int64
			if _, err := fmt.Sscan(string(rest), &kilobytes); err != nil {
				return 0
			}
			return kilobytes << 10
		}
	}
	return 0
}
