package abuse

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"bytes"
)

// Usage is what a process uses.
type Usage struct {
	// Goroutines and Files are counts; Files is 0 where the system does not
	// tell.
	Goroutines, Files int
	// Heap is what the collector knows of and RSS what the system has given, in
	// bytes; RSS is 0 where the system does not tell.
	Heap, RSS int64
}

// Tolerances: what a process that has lost nothing may use more of than before.
// The least that one lost call costs is an instance of 64 KiB or a goroutine.
const (
	moreGoroutines = 10
	moreFiles      = 5
	moreHeap       = 16 << 20
	moreRSS        = 96 << 20
)

// Measure returns what this process uses once its garbage is collected.
func Measure() Usage {
	debug.FreeOSMemory() // collects first
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	usage := Usage{Goroutines: runtime.NumGoroutine(), Heap: int64(memory.HeapAlloc)}
	if files, err := os.ReadDir("/proc/self/fd"); err == nil {
		usage.Files = len(files)
	}
	if statm, err := os.ReadFile("/proc/self/statm"); err == nil {
		var size, resident int64
		if _, err := fmt.Fscan(bytes.NewReader(statm), &size, &resident); err == nil {
			usage.RSS = resident * int64(os.Getpagesize())
		}
	}
	return usage
}

// Grown says what is used more of than before; empty is nothing.
func (u Usage) Grown(before Usage) []string {
	var grown []string
	for _, part := range []struct {
		name               string
		before, now, spare int64
	}{
		{"goroutines", int64(before.Goroutines), int64(u.Goroutines), moreGoroutines},
		{"open files", int64(before.Files), int64(u.Files), moreFiles},
		{"heap bytes", before.Heap, u.Heap, moreHeap},
		{"resident bytes", before.RSS, u.RSS, moreRSS},
	} {
		if part.now > part.before+part.spare {
			grown = append(grown, fmt.Sprintf("%s: %d before, %d now, %d more are tolerated", part.name, part.before, part.now, part.spare))
		}
	}
	return grown
}

// Settle measures until nothing has grown, or ctx is over: what is on its way
// out is no loss.
func Settle(ctx context.Context, before Usage) (now Usage, grown []string) {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		now = Measure()
		grown = now.Grown(before)
		if len(grown) == 0 {
			return now, nil
		}
		select {
		case <-ctx.Done():
			return now, grown
		case <-ticker.C:
		}
	}
}
