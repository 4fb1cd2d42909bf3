package replica

import (
	"sync"
	"time"

	"github.com/pluginhost/pluginhost/subjects"
)

// calledBack counts a callback, and tells whoever looks how it failed; up to once a second
// in the log, as a plugin can fail over and over.
func (h *hosted) calledBack(callback subjects.CallbackError, err error) {
	h.callbacks.add(callback, err)
	if err == nil || !h.failures.Allow() {
		return
	}
	message, of, id := "schedule callback failed", "schedule", callback.Schedule
	if id == nil {
		message, of, id = "WebSocket callback failed", "connection", callback.Connection
	}
	h.replica.log.Warn(message, "plugin", h.id, "callback", callback.Method, of, cut(string(id), maxText), "error", cut(err.Error(), maxErrorText))
}

// callbackStats counts the callbacks of a plugin's schedules and connections that
// this replica has made.
type callbackStats struct {
	mu    sync.Mutex
	stats subjects.CallbackStats
}

// add counts a callback: its method, and the schedule or the connection it was for. err is
// how it failed.
func (s *callbackStats) add(callback subjects.CallbackError, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Requests++
	if err == nil {
		return
	}
	s.stats.Errors++
	callback.Schedule = callback.Schedule[:min(len(callback.Schedule), maxText)]
	callback.Connection = callback.Connection[:min(len(callback.Connection), maxText)]
	callback.Time, callback.Error = time.Now().UTC(), cut(err.Error(), maxText)
	s.stats.LastError = &callback
}

// reset forgets the callbacks of a plugin that is gone.
func (s *callbackStats) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats = subjects.CallbackStats{}
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
