package client

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/pluginhost/pluginhost/subjects"
)

const (
	// breakAfter is how often in a row a plugin may fail before it is left alone.
	breakAfter = 3
	// firstBreak is for how long it is then, which doubles with each failure up to longestBreak.
	firstBreak, longestBreak = 5 * time.Second, time.Minute
	// maxBreakers bounds of how many plugins that is known.
	maxBreakers = 10_000
)

// verdict is what a call tells of a plugin's health.
type verdict int

const (
	well    verdict = iota // it answered, whatever it said
	unwell                 // it is slow, crashes, or is away
	unknown                // the caller gave up, the host was busy, or the connection was lost
)

// slow is how long a plugin may take at least before it counts as slow: a caller in a greater hurry tells nothing of it.
const slow = time.Second

// verdictOf is what a call has told that could take so long.
func verdictOf(err error, within time.Duration) verdict {
	var lost *lostError
	var maybeRan *maybeRanError
	switch {
	case err == nil:
		return well
	case errors.As(err, &lost), errors.As(err, &maybeRan): // which is all about NATS
		return unknown
	case errors.Is(err, context.Canceled), errors.Is(err, subjects.ErrOverloaded), errors.Is(err, subjects.ErrDeadlineExceeded) && within < slow:
		return unknown
	case errors.Is(err, subjects.ErrDeadlineExceeded), errors.Is(err, subjects.ErrCrashed), errors.Is(err, subjects.ErrUnavailable):
		return unwell
	default:
		return well
	}
}

// breakers keep plugins that fail again and again from being asked for a while: each question would wait for them. Once that
// time is over a single question finds out how the plugin is.
type breakers struct {
	mu sync.Mutex
	of map[string]*breaker // by plugin; only those that have failed
}

// breaker is that of one plugin.
type breaker struct {
	failures int       // in a row
	until    time.Time // from when on it is asked again
	trying   bool      // somebody finds out
}

func newBreakers() *breakers { return &breakers{of: make(map[string]*breaker)} }

// allows says whether a plugin is asked now.
func (b *breakers) allows(id string, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.of[id].allows(now)
}

func (b *breaker) allows(now time.Time) bool {
	return b == nil || b.failures < breakAfter || !b.trying && !now.Before(b.until)
}

// begin is allows for a question that is asked at once: end follows if it is true. finds says that it is the one that finds out how a plugin
// is that was left alone.
func (b *breakers) begin(id string, now time.Time) (finds, is bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	of := b.of[id]
	if !of.allows(now) {
		return false, false
	}
	if finds = of != nil && of.failures >= breakAfter; finds {
		of.trying = true
	}
	return finds, true
}

// end notes what a question has told of a plugin; finds is what begin said of it.
func (b *breakers) end(id string, now time.Time, finds bool, v verdict) {
	b.mu.Lock()
	defer b.mu.Unlock()
	of := b.of[id]
	switch {
	case v == well:
		delete(b.of, id)
		return
	case of == nil && v == unwell:
		if len(b.of) >= maxBreakers {
			clear(b.of)
		}
		of = new(breaker)
		b.of[id] = of
	case of == nil, of.failures >= breakAfter && !finds: // many were asked at once, and this one tells what is known already
		return
	}
	if finds {
		of.trying = false
	}
	if v == unknown {
		return
	}
	if of.failures++; of.failures >= breakAfter {
		of.until = now.Add(min(longestBreak, firstBreak<<min(of.failures-breakAfter, 10)))
	}
}
