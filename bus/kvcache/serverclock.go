package kvcache

import "time"

// moment is a time of this process's monotonic clock, since something began.
type moment time.Duration

// never is later than any moment.
const never = moment(1<<63 - 1)

// serverClock is what is known of a server's clock. An answer shows it at some
// moment between the question and the answer; what several answers agree on is
// better than each of them.
type serverClock struct {
	earliest, latest time.Time // what the clock showed at moment 0, within these
}

// learn takes what the clock showed in an answer. What contradicts earlier answers
// takes their place: the clock was set, another server answers, or this machine
// was suspended.
func (c *serverClock) learn(shown time.Time, asked, answered moment) {
	earliest, latest := shown.Add(-time.Duration(answered)), shown.Add(-time.Duration(asked))
	if earliest.After(c.latest) || latest.Before(c.earliest) {
		c.earliest, c.latest = earliest, latest
		return
	}
	if earliest.After(c.earliest) {
		c.earliest = earliest
	}
	if latest.Before(c.latest) {
		c.latest = latest
	}
}

// at is what the clock shows at a moment at the least.
func (c *serverClock) at(m moment) time.Time { return c.earliest.Add(time.Duration(m)) }
