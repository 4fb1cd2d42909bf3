package replica

import (
	"sync"
	"time"

	"github.com/pluginhost/pluginhost/subjects"
)

// callbackStats counts the callbacks of a plugin's schedules and connections that
// this replica has made.
type callbackStats struct {
	mu    sync.Mutex
	stats subjects.CallbackStats
}

// add counts one; failure is nil where it went well.
func (s *callbackStats) add(failure *subjects.CallbackError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Requests++
	if failure != nil {
		s.stats.Errors++
		s.stats.LastError = failure
	}
}

// read is nil before the first callback.
func (s *callbackStats) read() *subjects.CallbackStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stats.Requests == 0 {
		return nil
	}
	stats := s.stats
	return &stats
}

// fireEnded tells what became of the callback of a schedule: nothing else comes of
// its failure, as in Navidrome.
func (h *hosted) fireEnded(method string, schedule []byte, err error) {
	id := cut(string(schedule), maxText)
	if err == nil {
		h.callbacks.add(nil)
		return
	}
	h.callbacks.add(&subjects.CallbackError{Method: method, Schedule: []byte(id), Time: time.Now().UTC(), Error: cut(err.Error(), maxText)})
	h.warn("schedule callback failed", "schedule", id, "error", cut(err.Error(), maxErrorText))
}

// told is fireEnded of the callback of a connection.
func (h *hosted) told(method, connection string, err error) {
	id := cut(connection, maxText)
	if err == nil {
		h.callbacks.add(nil)
		return
	}
	h.callbacks.add(&subjects.CallbackError{Method: method, Connection: []byte(id), Time: time.Now().UTC(), Error: cut(err.Error(), maxText)})
	h.warn("WebSocket callback failed", "callback", method, "connection", id, "error", cut(err.Error(), maxErrorText))
}
