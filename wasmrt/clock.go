package wasmrt

import "time"

// clock is what a guest reads the time from.
type clock interface {
	// walltime is the time of day.
	walltime() (sec int64, nsec int32)
	// nanotime counts nanoseconds from some moment in the past.
	nanotime() int64
	// sleep passes ns, or less if done is closed before.
	sleep(ns int64, done <-chan struct{})
}

// realClock is the system's; nanotime counts from start.
type realClock struct{ start time.Time }

func (realClock) walltime() (sec int64, nsec int32) {
	now := time.Now()
	return now.Unix(), int32(now.Nanosecond())
}

func (c realClock) nanotime() int64 { return int64(time.Since(c.start)) }

func (realClock) sleep(ns int64, done <-chan struct{}) {
	timer := time.NewTimer(time.Duration(ns))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-done:
	}
}

// stillClock moves by what it is asked only, so that two instances that do the
// same see the same time.
type stillClock struct {
	wall time.Time
	mono int64
}

// stillFrom returns a clock that stands at the time of c.
func stillFrom(c clock) stillClock {
	sec, nsec := c.walltime()
	return stillClock{time.Unix(sec, int64(nsec)), c.nanotime()}
}

// reading is what a look at the clock costs: a guest may wait for it to move.
const reading = int64(time.Microsecond)

func (c *stillClock) walltime() (sec int64, nsec int32) {
	c.pass(reading)
	return c.wall.Unix(), int32(c.wall.Nanosecond())
}

func (c *stillClock) nanotime() int64 {
	c.pass(reading)
	return c.mono
}

func (c *stillClock) sleep(ns int64, _ <-chan struct{}) { c.pass(ns) }

func (c *stillClock) pass(ns int64) {
	c.wall = c.wall.Add(time.Duration(ns))
	c.mono += ns
}
