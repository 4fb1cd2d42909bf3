package usage

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
)

// Usage is what a process uses. What the system does not tell is 0.
type Usage struct {
	// Goroutines, Files and Mappings are counts; Mappings are the lines of
	// /proc/self/maps.
	Goroutines, Files, Mappings int64
	// Heap is what the collector knows of, Resident what the system has given,
	// Private the part of that which is no file's, Address how many addresses are
	// taken, all in bytes.
	Heap, Resident, Private, Address int64
}

// Measure returns what this process uses once its garbage is collected.
func Measure() Usage {
	debug.FreeOSMemory() // collects first
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	usage := Usage{Goroutines: int64(runtime.NumGoroutine()), Heap: int64(memory.HeapAlloc)}
	if files, err := os.ReadDir("/proc/self/fd"); err == nil {
		usage.Files = int64(len(files))
	}
	if maps, err := os.ReadFile("/proc/self/maps"); err == nil {
		usage.Mappings = int64(bytes.Count(maps, []byte("\n")))
	}
	if status, err := os.ReadFile("/proc/self/status"); err == nil {
		for line := range strings.Lines(string(status)) {
			switch key, value, _ := strings.Cut(line, ":"); key {
			case "VmRSS":
				usage.Resident = kilobytes(value)
			case "RssAnon":
				usage.Private = kilobytes(value)
			case "VmSize":
				usage.Address = kilobytes(value)
			}
		}
	}
	return usage
}

// kilobytes reads a size such as "  12 kB"; none is 0.
func kilobytes(text string) int64 {
	n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(text), " kB"), 10, 64)
	return n << 10
}

// Quantity is one part of a Usage.
type Quantity struct {
	// Name is what people call it.
	Name string
	// Bytes tells a size from a count.
	Bytes bool
	// Of returns it.
	Of func(Usage) int64
}

// Format writes a value of the quantity.
func (q Quantity) Format(value float64) string {
	if q.Bytes {
		return fmt.Sprintf("%.1f MB", value/1e6)
	}
	return fmt.Sprintf("%.0f", value)
}

// Quantities returns the parts of a Usage in their order.
func Quantities() []Quantity {
	return []Quantity{
		{"goroutines", false, func(u Usage) int64 { return u.Goroutines }},
		{"open files", false, func(u Usage) int64 { return u.Files }},
		{"memory mappings", false, func(u Usage) int64 { return u.Mappings }},
		{"heap", true, func(u Usage) int64 { return u.Heap }},
		{"resident", true, func(u Usage) int64 { return u.Resident }},
		{"private", true, func(u Usage) int64 { return u.Private }},
		{"addresses", true, func(u Usage) int64 { return u.Address }},
	}
}

// Spare is what a process that has lost nothing may use more of than before.
//
// Counts move by a few: idle workers, a connection of a pool, a heap that takes
// another range of addresses. What a call can lose costs at least one of them, and
// even the rarest kind of call is made tens of times.
//
// The least that a call can lose of the heap are 8 bytes, and half a million calls
// make 4 MB of that. Pages of guests are counted in 4096, with more noise: the pools
// keep what the last calls have touched, and each instance in them has addresses
// for all the memory that it may use, 256 MB.
func Spare() Usage {
	return Usage{
		Goroutines: 10, Files: 5, Mappings: 16,
		Heap: 4 << 20, Resident: 16 << 20, Private: 16 << 20, Address: 8 << 30,
	}
}

// Grown says what is used more of than before, and spare has not room for; empty
// is nothing.
func (u Usage) Grown(before, spare Usage) []string {
	var grown []string
	for _, q := range Quantities() {
		was, is, room := q.Of(before), q.Of(u), q.Of(spare)
		if is > was+room {
			grown = append(grown, fmt.Sprintf("%s: %d before, %d now, %d more are tolerated", q.Name, was, is, room))
		}
	}
	return grown
}

// Settle measures until nothing has grown, or ctx is over: what is on its way
// out is no loss.
func Settle(ctx context.Context, before, spare Usage) (now Usage, grown []string) {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		now = Measure()
		grown = now.Grown(before, spare)
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
