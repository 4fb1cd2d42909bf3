package plugintest

import (
	"sync"
	"time"
)

// clock is the time of the host, which stands still unless Advance moves it.
type clock struct {
	mu sync.Mutex
	is time.Time
}

func newClock() *clock { return &clock{is: time.Date(2026, time.January, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.is
}

// move sets a later time; it never goes back.
func (c *clock) move(to time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if to.After(c.is) {
		c.is = to
	}
}

// Now is the time of the host: that of schedules, of the life of cached values and of the
// scheduler's TimeNow. It begins at noon of Thursday, 1 January 2026, UTC, and only Advance
// moves it. The plugin's own clock, time.Now in its code, is the real one.
func (h *Host) Now() time.Time { return h.clock.now() }
