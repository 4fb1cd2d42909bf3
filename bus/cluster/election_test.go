package cluster_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/bus/cluster"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/clustertest"
)

func without(all []*cluster.Election, one *cluster.Election) []*cluster.Election {
	var others []*cluster.Election
	for _, e := range all {
		if e != one {
			others = append(others, e)
		}
	}
	return others
}

func TestOneReplicaLeadsAndAnotherAfterItResigned(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	var all []*cluster.Election
	for i := range 3 {
		all = append(all, clustertest.Elect(t, testenv.Bus(t, url), fmt.Sprint("r", i)))
	}
	for term := uint64(0); len(all) > 0; {
		leader, next := clustertest.AwaitLeader(t, all...)
		if next <= term {
			t.Errorf("term %d follows %d", next, term)
		}
		term = next
		begun := time.Now()
		all = without(all, leader)
		clustertest.Resign(t, leader)
		if _, _, leads := leader.Term(); leads {
			t.Error("it leads after it resigned")
		}
		if len(all) > 0 {
			if _, _ = clustertest.AwaitLeader(t, all...); time.Since(begun) >= cluster.Lease {
				t.Error("the lease of a leader that had resigned was waited for")
			}
		}
	}
}

// While a leader without a connection still believes in its term, nobody else
// begins one.
func TestATermEndsBeforeTheNextBegins(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	first := testenv.Bus(t, url)
	leader := clustertest.Elect(t, first, "first")
	_, term := clustertest.AwaitLeader(t, leader)
	other := clustertest.Elect(t, testenv.Bus(t, url), "other")
	defer clustertest.Resign(t, other)
	for other.Leader() != "first" {
		<-time.After(time.Millisecond)
	}
	first.Close()
	for deadline := time.Now().Add(wait); ; {
		// The other is asked last: what it says is newer.
		_, ends, leads := leader.Term()
		next, _, takes := other.Term()
		if takes && leads && time.Now().Before(ends) {
			t.Error("two lead at the same time")
		}
		if takes {
			if next <= term {
				t.Errorf("term %d follows %d", next, term)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("nobody takes over")
		}
	}
	_ = leader.Stop(context.Background()) // it cannot resign
}

// A replica whose clock is ahead has led, and then the record comes back older than it was.
func TestATermIsGreaterThanAllThatWereSeen(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	e := clustertest.Elect(t, testenv.Bus(t, url), "r1")
	defer clustertest.Resign(t, e)
	clustertest.AwaitLeader(t, e)
	kv := clustertest.State(t, url)
	ahead := uint64(time.Now().Add(time.Hour).UnixMilli())
	for _, record := range []subjects.LeaderRecord{{V: subjects.Version, Replica: "r2", Term: ahead}, {V: subjects.Version, Term: 1}} {
		body, err := json.Marshal(record)
		if err != nil {
			t.Fatal(err)
		}
		changed := e.Changed()
		if _, err := kv.Put(t.Context(), subjects.LeaderKey, body); err != nil {
			t.Fatal(err)
		}
		<-changed
	}
	if _, term := clustertest.AwaitLeader(t, e); term <= ahead {
		t.Errorf("term %d follows %d", term, ahead)
	}
}

func TestALeaderKeepsItsTermWhileItsServerRestarts(t *testing.T) {
	t.Parallel()
	server := testenv.Restartable(t)
	e := clustertest.Elect(t, testenv.Bus(t, server.URL()), "r1")
	defer clustertest.Resign(t, e)
	_, before := clustertest.AwaitLeader(t, e)
	server.Stop()
	server.Start()
	if _, after := clustertest.AwaitLeader(t, e); after < before {
		t.Errorf("term %d follows %d", after, before)
	}
}

func TestARecordThatIsRemovedOrBrokenIsWrittenAnew(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	e := clustertest.Elect(t, testenv.Bus(t, url), "r1")
	defer clustertest.Resign(t, e)
	clustertest.AwaitLeader(t, e)
	kv := clustertest.State(t, url)
	for _, breakIt := range []func() error{
		func() error { return kv.Purge(t.Context(), subjects.LeaderKey) },
		func() error { _, err := kv.Put(t.Context(), subjects.LeaderKey, []byte("garbage")); return err },
	} {
		changed := e.Changed()
		if err := breakIt(); err != nil {
			t.Fatal(err)
		}
		<-changed
		clustertest.AwaitLeader(t, e)
	}
}

// A replica that was stalled has not seen who leads by now.
func TestTheTermIsReadWhereNothingNewIsKnown(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	b := testenv.Bus(t, url)
	h, e := clustertest.Heartbeat(t, b, "r1"), clustertest.Elect(t, b, "r1")
	_, before := clustertest.AwaitLeader(t, e)
	for changed := h.Changed(); !h.IsFresh(); changed = h.Changed() {
		<-changed
	}
	clustertest.Resign(t, e)
	clustertest.Stop(t, h) // neither follows the bucket any more
	h.Slept(cluster.Lease)
	kv := clustertest.State(t, url)
	body, err := json.Marshal(subjects.LeaderRecord{V: subjects.Version, Replica: "r2", Term: before + 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Put(t.Context(), subjects.LeaderKey, body); err != nil {
		t.Fatal(err)
	}
	if term, err := e.CurrentTerm(t.Context(), h); err != nil || term != before+1 {
		t.Errorf("the term is %d (%v), want %d", term, err, before+1)
	}
}
