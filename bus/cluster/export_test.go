package cluster

import (
	"time"
	"unsafe"

	"github.com/pluginhost/pluginhost/sdk/jet"
)

// Slept has the machine have slept since the term was renewed last: the clock on the wall went
// on, the monotonic one stood still. It says whether the replica leads now.
func (e *Election) Slept(d time.Duration) (leads bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.begun = beforeSleep(e.begun, d)
	return e.leads()
}

// Slept has the machine have slept since its newest beat.
func (h *Heartbeat) Slept(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.begunAt = beforeSleep(h.begunAt, d)
	own := h.seen[h.key]
	own.at = beforeSleep(own.at, d)
	h.seen[h.key] = own
}

// IsTrusted says whether all others must count the replica as alive.
func (h *Heartbeat) IsTrusted() bool {
	until, _ := h.Trust()
	return time.Now().Before(until)
}

// IsFresh says whether what it knows of the state is new.
func (h *Heartbeat) IsFresh() bool { return h.isFresh() }

// Passed is how much time has passed since a moment, by each clock.
func Passed(since time.Time) (monotonic, wall time.Duration) {
	now := time.Now()
	return now.Sub(since), jet.WallPassed(since, now)
}

// BeforeSleep is a time as it would be if the machine had slept since: earlier by d on the
// wall, and the same on the monotonic clock. A time.Time has the seconds of the wall from
// bit 30 of its first word on.
func BeforeSleep(t time.Time, d time.Duration) time.Time { return beforeSleep(t, d) }

func beforeSleep(t time.Time, d time.Duration) time.Time {
	*(*uint64)(unsafe.Pointer(&t)) -= uint64(d/time.Second) << 30
	return t
}
