package call

import (
	"sync"
	"time"

	"github.com/pluginhost/pluginhost/sdk/excerpt"
)

// Stats is an Observer that counts calls by method. The zero value has none.
type Stats struct {
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

// maxLastError bounds what is kept of an error, in bytes: the statistics of all
// methods must fit one message.
const maxLastError = 1 << 10

// Observe implements Observer.
func (s *Stats) Observe(o Observation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.methods == nil {
		s.methods = make(map[string]MethodStats)
	}
	entry := s.methods[o.Method]
	entry.Requests++
	entry.Time += o.Took
	if o.Err != nil {
		entry.Errors++
		entry.LastError = excerpt.Cut(o.Err.Error(), maxLastError)
	}
	s.methods[o.Method] = entry
}

// Of returns the counts of one method.
func (s *Stats) Of(method string) MethodStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.methods[method]
}

// Sum returns the counts of all methods together, without an error's text.
func (s *Stats) Sum() MethodStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	var sum MethodStats
	for _, entry := range s.methods {
		sum.Requests += entry.Requests
		sum.Errors += entry.Errors
		sum.Time += entry.Time
	}
	return sum
}
