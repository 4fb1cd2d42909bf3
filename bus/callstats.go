package bus

import (
	"sync"
	"time"

	"github.com/pluginhost/pluginhost/internal/excerpt"
)

// callStats counts the calls of an endpoint by method.
type callStats struct {
	mu      sync.Mutex
	methods map[string]MethodStats
}

// MethodStats counts the calls of one method on one replica.
type MethodStats struct {
	// Requests counts all calls, Errors those that failed.
	Requests, Errors int
	// LastError is the text of the last failure, cut when very long.
	LastError string
	// Time is how long all calls took together.
	Time time.Duration
}

// unknownMethod is the name under which calls of methods that do not exist are
// counted: those names are the callers', and would fill our memory.
const unknownMethod = ""

// maxLastError bounds what is kept of an error, in bytes: the statistics of all
// methods must fit one message.
const maxLastError = 1 << 10

func (s *callStats) record(method string, took time.Duration, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.methods == nil {
		s.methods = make(map[string]MethodStats)
	}
	entry := s.methods[method]
	entry.Requests++
	entry.Time += took
	if err != nil {
		entry.Errors++
		entry.LastError = excerpt.Cut(err.Error(), maxLastError)
	}
	s.methods[method] = entry
}

func (s *callStats) of(method string) MethodStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.methods[method]
}

// Stats returns the counts of all methods together.
func (e *Endpoint) Stats() MethodStats {
	e.stats.mu.Lock()
	defer e.stats.mu.Unlock()
	var sum MethodStats
	for _, entry := range e.stats.methods {
		sum.Requests += entry.Requests
		sum.Errors += entry.Errors
		sum.Time += entry.Time
	}
	return sum
}
