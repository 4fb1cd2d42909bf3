package cluster

import (
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/sdk/jet"
)

// Our watch stalls right after our own beat, and before the next one of another replica: for a
// moment that looks silent for a lease, and we do not.
func TestAWatchThatStallsShowsNobodyDead(t *testing.T) {
	t.Parallel()
	now := time.Now()
	ago := func(leases float64) time.Time { return now.Add(-time.Duration(leases * float64(Lease))) }
	h := &Heartbeat{key: "self", changed: make(chan struct{}), wanted: make(chan struct{}, 1), seen: map[string]sighting{
		"self":  {revision: 5, at: ago(0.9)},
		"other": {revision: 4, at: ago(1.1)},
	}}
	h.written, h.writtenAt = 5, ago(0.9)
	h.follow()
	if !h.alive("other") {
		t.Error("it counts as gone, though what it wrote of late would not have been seen")
	}
	select {
	case <-h.wanted:
	default:
		t.Error("nothing is written that would tell")
	}
	// What we write now is seen, and nothing of the other before it.
	h.written, h.writtenAt = 7, now
	h.note(jet.Change{Key: "self", Revision: 7, Value: []byte("{}")})
	if h.alive("other") {
		t.Error("it lives, though all was seen for longer than a lease")
	}
}

// The answer to a write may come before the watch tells of it, and after.
func TestWhatWasSeenCountsFromTheBeatThatIsWrittenAndSeen(t *testing.T) {
	t.Parallel()
	h := &Heartbeat{key: "self", seen: map[string]sighting{"self": {revision: 5}}}
	h.written, h.writtenAt = 6, time.Now()
	if h.follow(); !h.seenUpTo.IsZero() {
		t.Error("a beat counts that was not seen")
	}
	h.seen["self"] = sighting{revision: 6}
	if h.follow(); !h.seenUpTo.Equal(h.writtenAt) {
		t.Errorf("it is seen up to %v, the beat was begun at %v", h.seenUpTo, h.writtenAt)
	}
}
