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
