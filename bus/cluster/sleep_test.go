package cluster_test

import (
	"sync"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/bus/cluster"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/clustertest"
)

func TestATimeBeforeASleep(t *testing.T) {
	t.Parallel()
	now := time.Now()
	monotonic, wall := cluster.Passed(cluster.BeforeSleep(now, time.Hour))
	if monotonic > time.Minute || wall < time.Hour || wall > time.Hour+time.Minute {
		t.Fatalf("%v have passed by the monotonic clock, %v on the wall", monotonic, wall)
	}
}

// Others take over while the machine of a leader sleeps, and its monotonic clock with it: when
// it wakes, its term is over, and the next one is another.
func TestASleepEndsATerm(t *testing.T) {
	t.Parallel()
	e := clustertest.Elect(t, testenv.Bus(t, testenv.NATS(t)), "r1")
	defer clustertest.Resign(t, e)
	_, before := clustertest.AwaitLeader(t, e)
	for timeout := time.After(wait); ; {
		if e.Slept(cluster.Lease) {
			t.Fatal("it goes on to lead")
		}
		_, after := clustertest.AwaitLeader(t, e)
		if after > before {
			return
		}
		// It was renewing the term when it fell asleep.
		select {
		case <-timeout:
			t.Fatalf("term %d follows %d", after, before)
		default:
		}
	}
}

// What a replica knows of the state after a sleep is as old as that.
func TestASleepMakesTheStateOld(t *testing.T) {
	t.Parallel()
	var beating sync.Mutex
	h, err := cluster.StartHeartbeat(t.Context(), testenv.Bus(t, testenv.NATS(t)).Jet(), "r1", func() any {
		beating.Lock()
		defer beating.Unlock()
		return subjects.Heartbeat{V: subjects.Version, Replica: "r1"}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer clustertest.Stop(t, h)
	awaitFresh := func() (changed <-chan struct{}) {
		t.Helper()
		for timeout := time.After(wait); ; {
			changed := h.Changed()
			if h.IsFresh() && h.IsTrusted() {
				return changed
			}
			select {
			case <-changed:
			case <-time.After(10 * time.Millisecond):
			case <-timeout:
				t.Fatal("the state is not read")
			}
		}
	}
	sleeps := func() (trusted, fresh, certain bool) {
		changed := awaitFresh()
		beating.Lock() // none that is written meanwhile
		defer beating.Unlock()
		h.Slept(cluster.Lease)
		trusted, fresh = h.IsTrusted(), h.IsFresh()
		select {
		case <-changed: // one that was
			return trusted, fresh, false
		default:
			return trusted, fresh, true
		}
	}
	for {
		trusted, fresh, certain := sleeps()
		if !certain {
			continue
		}
		if trusted || fresh {
			t.Errorf("others are to count it as alive: %t, what it knew is new: %t", trusted, fresh)
		}
		break
	}
	awaitFresh() // with the next beat
}
