package schedule_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/bus"
	"github.com/pluginhost/pluginhost/bus/cluster"
	"github.com/pluginhost/pluginhost/bus/schedule"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/clustertest"
)

// The buckets lose what was written last, as in a power cut. Whoever was there goes on: the
// revisions that were known are higher than those that are written from now on.
func TestReplicasGoOnWithBucketsThatCameBackOlder(t *testing.T) {
	t.Parallel()
	server := testenv.Restartable(t)
	first, second := testenv.Bus(t, server.URL()), testenv.Bus(t, server.URL())
	h1, h2 := clustertest.Heartbeat(t, first, "r1"), clustertest.Heartbeat(t, second, "r2")
	defer clustertest.Stop(t, h1)
	defer clustertest.Stop(t, h2)
	e1, e2 := clustertest.Elect(t, first, "r1"), clustertest.Elect(t, second, "r2")
	defer clustertest.Resign(t, e1)
	defer clustertest.Resign(t, e2)
	seen := make(chan string, 1000)
	schedules, err := schedule.Open(t.Context(), first.Jet(), func(_ string, record *subjects.ScheduleRecord) {
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
		if err := schedules.Set(t.Context(), subjects.ScheduleRecord{Plugin: "p", Schedule: []byte(id), Due: time.Now()}, schedule.Limit{Max: 100}); err != nil {
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
	leader, _ := clustertest.AwaitLeader(t, e1, e2)
	clustertest.AwaitLive(t, h1, 2)
	clustertest.AwaitLive(t, h2, 2)
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
	clustertest.Resign(t, leader)
	_, term := clustertest.AwaitLeader(t, other)
	server.Stop()
	putBack()
	server.Start()

	await("gone")
	set("after")
	await("after")
	if is := schedules.Count("p"); is != 2 {
		t.Errorf("%d schedules are known, want 2", is)
	}
	third := clustertest.Elect(t, testenv.Bus(t, server.URL()), "r3")
	defer clustertest.Resign(t, third)
	clustertest.AwaitLive(t, h1, 2)
	clustertest.AwaitLive(t, h2, 2)
	awaitBeats(t, server.URL(), h1, h2)
	_, next := clustertest.AwaitLeader(t, other, third)
	if next < term {
		t.Errorf("term %d follows %d", next, term)
	}
	for _, h := range []*cluster.Heartbeat{h1, h2} {
		if !h.Alive("r1") || !h.Alive("r2") {
			t.Error("a replica counts as gone")
		}
	}
	if is, err := other.CurrentTerm(t.Context(), map[*bus.Bus]*cluster.Heartbeat{first: h1, second: h2}[otherBus]); err != nil || is < term {
		t.Errorf("the newest term is %d, %v, and was %d", is, err, term)
	}
}

// awaitBeats waits until each of replicas r1 and r2 has seen both beat twice.
func awaitBeats(t *testing.T, url string, all ...*cluster.Heartbeat) {
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
	beats := clustertest.WatchBeats(t, url, "r1")
	<-beats
	<-beats
}

// All replicas end, and the bucket loses the terms that there were: whoever begins with the
// older record uses none of them again.
func TestATermIsNotUsedAgainWhenItsRecordIsLost(t *testing.T) {
	t.Parallel()
	server := testenv.Restartable(t)
	b := testenv.Bus(t, server.URL())
	first := clustertest.Elect(t, b, "r1")
	clustertest.AwaitLeader(t, first)
	putBack := server.SaveStreams("KV_" + subjects.StateBucket)
	clustertest.Resign(t, first)
	second := clustertest.Elect(t, b, "r2")
	_, term := clustertest.AwaitLeader(t, second)
	b.Close()
	_ = second.Stop(context.Background())
	server.Stop()
	putBack()
	server.Start()
	third := clustertest.Elect(t, testenv.Bus(t, server.URL()), "r3")
	defer clustertest.Resign(t, third)
	if _, next := clustertest.AwaitLeader(t, third); next <= term {
		t.Errorf("term %d follows %d", next, term)
	}
}
