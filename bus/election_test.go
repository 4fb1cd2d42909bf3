package bus_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/bus"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"

	"github.com/nats-io/nats.go/jetstream"
)

func elect(t *testing.T, b *bus.Bus, replica string) *bus.Election {
	t.Helper()
	e, err := bus.StartElection(t.Context(), b.Jet(), replica)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func resign(t *testing.T, e *bus.Election) {
	t.Helper()
	if err := e.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

// awaitLeader waits until one of the candidates leads, and returns it with its
// term.
func awaitLeader(t *testing.T, candidates ...*bus.Election) (*bus.Election, uint64) {
	t.Helper()
	deadline := time.After(wait)
	for {
		for _, e := range candidates {
			if term, _, leads := e.Term(); leads {
				return e, term
			}
		}
		select {
		case <-candidates[0].Changed():
		case <-time.After(10 * time.Millisecond):
		case <-deadline:
			t.Fatal("nobody leads")
		}
	}
}

func without(all []*bus.Election, one *bus.Election) []*bus.Election {
	var others []*bus.Election
	for _, e := range all {
		if e != one {
			others = append(others, e)
		}
	}
	return others
}

func TestOneReplicaLeadsAndAnotherAfterItResigned(t *testing.T) {
	url := testenv.NATS(t)
	var all []*bus.Election
	for i := range 3 {
		all = append(all, elect(t, open(t, url), fmt.Sprint("r", i)))
	}
	for term := uint64(0); len(all) > 0; {
		leader, next := awaitLeader(t, all...)
		if next <= term {
			t.Errorf("term %d follows %d", next, term)
		}
		term = next
		begun := time.Now()
		all = without(all, leader)
		resign(t, leader)
		if _, _, leads := leader.Term(); leads {
			t.Error("it leads after it resigned")
		}
		if len(all) > 0 {
			if _, _ = awaitLeader(t, all...); time.Since(begun) >= bus.Lease {
				t.Error("the lease of a leader that had resigned was waited for")
			}
		}
	}
}

// While a leader without a connection still believes in its term, nobody else
// begins one.
func TestATermEndsBeforeTheNextBegins(t *testing.T) {
	url := testenv.NATS(t)
	first := open(t, url)
	leader := elect(t, first, "first")
	_, term := awaitLeader(t, leader)
	other := elect(t, open(t, url), "other")
	defer resign(t, other)
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

func TestALeaderKeepsItsTermWhileItsServerRestarts(t *testing.T) {
	server := testenv.Restartable(t)
	e := elect(t, open(t, server.URL()), "r1")
	defer resign(t, e)
	_, before := awaitLeader(t, e)
	server.Stop()
	server.Start()
	if _, after := awaitLeader(t, e); after < before {
		t.Errorf("term %d follows %d", after, before)
	}
}

func TestARecordThatIsRemovedOrBrokenIsWrittenAnew(t *testing.T) {
	url := testenv.NATS(t)
	e := elect(t, open(t, url), "r1")
	defer resign(t, e)
	awaitLeader(t, e)
	js, err := jetstream.New(testenv.Connect(t, url))
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue(t.Context(), subjects.StateBucket)
	if err != nil {
		t.Fatal(err)
	}
	for _, breakIt := range []func() error{
		func() error { return kv.Purge(t.Context(), subjects.LeaderKey) },
		func() error { _, err := kv.Put(t.Context(), subjects.LeaderKey, []byte("garbage")); return err },
	} {
		changed := e.Changed()
		if err := breakIt(); err != nil {
			t.Fatal(err)
		}
		<-changed
		awaitLeader(t, e)
	}
}
