package replica

import (
	"sync"
	"time"

	"github.com/pluginhost/pluginhost/sdk/call"
	"github.com/pluginhost/pluginhost/subjects"
)

// Observe implements call.Observer: it is told of all calls of the plugin, the host's own
// among them.
func (h *hosted) Observe(o call.Observation) {
	switch o.Origin {
	case call.OfCaller:
		h.stats.Load().Observe(o)
	case call.OfSchedule:
		h.callbacks.Observe(o)
		h.tellCallback("schedule callback failed", "schedule", o)
	case call.OfConnection:
		h.callbacks.Observe(o)
		h.tellCallback("WebSocket callback failed", "connection", o)
	case call.OfQueue:
		h.stats.Load().Observe(o)
	case call.OfInit: // who has it run says how it failed
	}
}

// tellCallback tells whoever looks how a callback failed; up to once a second
// in the log, as a plugin can fail over and over.
func (h *hosted) tellCallback(message, of string, o call.Observation) {
	if o.Err == nil || !h.failures.Allow() {
		return
	}
	h.replica.log.Warn(message, "plugin", h.id, "callback", o.Method, of, cut(o.For, maxText), "error", cut(o.Err.Error(), maxErrorText))
}

// callbackStats counts the callbacks of a plugin's schedules and connections that
// this replica has made.
type callbackStats struct {
	mu    sync.Mutex
	stats subjects.CallbackStats
}

// Observe implements call.Observer.
func (s *callbackStats) Observe(o call.Observation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Requests++
	if o.Err == nil {
		return
	}
	s.stats.Errors++
	failed := subjects.CallbackError{Method: o.Method, Time: time.Now().UTC(), Error: cut(o.Err.Error(), maxText)}
	of := []byte(o.For[:min(len(o.For), maxText)])
	if o.Origin == call.OfSchedule {
		failed.Schedule = of
	} else {
		failed.Connection = of
	}
	s.stats.LastError = &failed
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
