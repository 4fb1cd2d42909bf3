package report

import (
	"fmt"
	"slices"
	"sync"
)

// maxFaults bounds how many faults are told.
const maxFaults = 10

// Faults collects what is not good: the first few, and how many there were. Its
// zero value is empty; it is safe for concurrent use.
type Faults struct {
	mu    sync.Mutex
	first []string
	count int
}

// Addf adds one.
func (f *Faults) Addf(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count++
	if len(f.first) < maxFaults {
		f.first = append(f.first, fmt.Sprintf(format, args...))
	}
}

// Add adds several.
func (f *Faults) Add(faults ...string) {
	for _, fault := range faults {
		f.Addf("%s", fault)
	}
}

// Count is how many there were.
func (f *Faults) Count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count
}

// List returns the first, and in a last line how many more there were; empty is
// none.
func (f *Faults) List() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := slices.Clone(f.first)
	if more := f.count - len(f.first); more > 0 {
		list = append(list, fmt.Sprintf("and %d more", more))
	}
	return list
}
