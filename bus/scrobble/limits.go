package scrobble

import (
	"math/rand/v2"
	"time"
)

// Limits bound what waits.
type Limits struct {
	// MaxAge is how long a play is kept after it was accepted, and for how long a double of it is
	// recognised.
	MaxAge time.Duration
	// Unlinked is how long plays wait of a user for whom the plugin has never been authorised.
	Unlinked time.Duration
	// MaxIntake is how many bytes the intake may have.
	MaxIntake int64
	// MaxQueue is how many plays may wait for one plugin, MaxUser how many of one user do, and
	// MaxUnlinked how many of a user for whom the plugin has never been authorised.
	MaxQueue, MaxUser, MaxUnlinked int
	// MaxDead is how many dead letters are kept.
	MaxDead int
}

// Times are how long workers wait. The zero value is the defaults.
type Times struct {
	// First and Longest are the shortest and the longest time after which something that failed is tried
	// again; it is doubled from one to the other. Default to 5 seconds and 15 minutes.
	First, Longest time.Duration
	// Unknown is how long a play waits for its second attempt after an error of which nobody knows what it means; for the third
	// it is fifteen times as long. Defaults to 1 minute.
	Unknown time.Duration
	// HandOver is after how long a replica works on a queue that another one should have looked after. Defaults to
	// 1 second.
	HandOver time.Duration
	// Linked is for how long it is not asked again that the plugin is authorised for a user. Defaults to 1 minute.
	Linked time.Duration
}

func (t Times) withDefaults() Times {
	orDefault := func(d *time.Duration, by time.Duration) {
		if *d == 0 {
			*d = by
		}
	}
	orDefault(&t.First, 5*time.Second)
	orDefault(&t.Longest, 15*time.Minute)
	orDefault(&t.Unknown, time.Minute)
	orDefault(&t.HandOver, time.Second)
	orDefault(&t.Linked, time.Minute)
	return t
}

// backOff is how long to wait after so many failures in a row.
func (t Times) backOff(failures int) time.Duration {
	wait := t.Longest
	if shift := max(failures-1, 0); shift < 30 {
		wait = min(t.First<<shift, t.Longest)
	}
	return jitter(wait)
}

// jitter is a time up to a fifth shorter than wait, so that not all that failed together is tried again together.
func jitter(wait time.Duration) time.Duration {
	return wait - rand.N(wait/5+1)
}
