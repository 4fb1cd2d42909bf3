package bus_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/bus"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
)

// The buckets lose what was written last, as in a power cut. Whoever was there goes on: the
// revisions that were known are higher than those that are written from now on.
func TestReplicasGoOnWithBucketsThatCameBackOlder(t *testing.T) {
	t.Parallel()
	server := testenv.Restartable(t)
	first, second := open(t, server.URL()), open(t, server.URL())
	h1, h2 := heartbeat(t, first, "r1"), heartbeat(t, second, "r2")
	defer stop(t, h1)
	defer stop(t, h2)
	e1, e2 := elect(t, first, "r1"), elect(t, second, "r2")
	defer resign(t, e1)
	defer resign(t, e2)
	seen := make(chan string, 1000)
	schedules, err := bus.OpenSchedules(t.Context(), first.Jet(), func(_ string, record *subjects.ScheduleRecord) {
		if record == nil {
			seen <- "gone"
		} else {
			seen <- string(record.Schedule)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer schedules.Stop()
	set := func(id string) {
		t.Helper()
		if err := schedules.Set(t.Context(), subjects.ScheduleRecord{Plugin: "p", Schedule: []byte(id), Due: time.Now()}, bus.ScheduleLimit{Max: 100}); err != nil {
			t.Error(err)
		}
	}
	await := func(want string) {
		t.Helper()
		timeout := time.After(wait)
		for {
			select {
			case is := <-seen:
				if is == want {
					return
				}
			case <-timeout:
				t.Fatalf("%s is not told", want)
			}
		}
	}
	leader, _ := awaitLeader(t, e1, e2)
	awaitLive(t, h1, 2)
	awaitLive(t, h2, 2)
	set("stays")
	await("stays")

	putBack := server.SaveStreams("KV_"+subjects.StateBucket, "KV_"+subjects.ScheduleBucket)
	for i := range 20 {
		set(fmt.Sprint("lost", i))
	}
	await("lost19")
	// A leader that the older record does not know.
	other, otherBus := e1, first
	if leader == e1 {
		other, otherBus = e2, second
	}
	resign(t, leader)
	_, term := awaitLeader(t, other)
	server.Stop()
	putBack()
	server.Start()

	await("gone")
	set("after")
	await("after")
	if is := schedules.Count("p"); is != 2 {
		t.Errorf("%d schedules are known, want 2", is)
	}
	third := elect(t, open(t, server.URL()), "r3")
	defer resign(t, third)
	awaitLive(t, h1, 2)
	awaitLive(t, h2, 2)
	awaitBeats(t, server.URL(), h1, h2)
	_, next := awaitLeader(t, other, third)
	if next < term {
		t.Errorf("term %d follows %d", next, term)
	}
	for _, h := range []*bus.Heartbeat{h1, h2} {
		if !h.Alive("r1") || !h.Alive("r2") {
			t.Error("a replica counts as gone")
		}
	}
	if is, err := other.CurrentTerm(t.Context(), map[*bus.Bus]*bus.Heartbeat{first: h1, second: h2}[otherBus]); err != nil || is < term {
		t.Errorf("the newest term is %d, %v, and was %d", is, err, term)
	}
}

// awaitBeats waits until each of replicas r1 and r2 has seen both beat twice.
func awaitBeats(t *testing.T, url string, all ...*bus.Heartbeat) {
	t.Helper()
	for _, h := range all {
		for range 4 {
			select {
			case <-h.Changed():
			case <-time.After(wait):
				t.Fatal("no heartbeat is seen any more")
			}
		}
	}
	beats := watchBeats(t, url, "r1")
	<-beats
	<-beats
}

// All replicas end, and the bucket loses the terms that there were: whoever begins with the
// older record uses none of them again.
func TestATermIsNotUsedAgainWhenItsRecordIsLost(t *testing.T) {
	t.Parallel()
	server := testenv.Restartable(t)
	b := open(t, server.URL())
	first := elect(t, b, "r1")
	awaitLeader(t, first)
	putBack := server.SaveStreams("KV_" + subjects.StateBucket)
	resign(t, first)
	second := elect(t, b, "r2")
	_, term := awaitLeader(t, second)
	b.Close()
	_ = second.Stop(context.Background())
	server.Stop()
	putBack()
	server.Start()
	third := elect(t, open(t, server.URL()), "r3")
	defer resign(t, third)
	if _, next := awaitLeader(t, third); next <= term {
		t.Errorf("term %d follows %d", next, term)
	}
}
