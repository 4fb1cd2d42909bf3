// Package clustertest has replicas of a test show that they live, and lead.
package clustertest

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/bus"
	"github.com/pluginhost/pluginhost/bus/cluster"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
)

// patience is how long something is waited for that happens in an instant.
const patience = 20 * time.Second

// Heartbeat begins the heartbeat of a replica that serves generation g1 of plugin p.
func Heartbeat(t testing.TB, b *bus.Bus, replica string) *cluster.Heartbeat {
	t.Helper()
	h, err := cluster.StartHeartbeat(t.Context(), b.Jet(), replica, func() any {
		return subjects.Heartbeat{V: subjects.Version, Replica: replica, Generations: map[string]string{"p": "g1"}}
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// Stop ends a heartbeat.
func Stop(t testing.TB, h *cluster.Heartbeat) {
	t.Helper()
	if err := h.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

// AwaitLive waits until a replica sees so many alive.
func AwaitLive(t testing.TB, h *cluster.Heartbeat, want int) {
	t.Helper()
	changed := h.Changed()
	for h.Live() != want {
		select {
		case <-changed:
			changed = h.Changed()
		case <-t.Context().Done():
			t.Fatalf("%d replicas are seen alive, want %d", h.Live(), want)
		}
	}
}

// State is the bucket of state, for who breaks its records.
func State(t testing.TB, url string) jetstream.KeyValue {
	t.Helper()
	js, err := jetstream.New(testenv.Connect(t, url))
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue(t.Context(), subjects.StateBucket)
	if err != nil {
		t.Fatal(err)
	}
	return kv
}

// WatchBeats returns what is written of a replica's record from now on, and what it is.
func WatchBeats(t testing.TB, url, replica string) <-chan jetstream.KeyValueEntry {
	t.Helper()
	watcher, err := State(t, url).Watch(t.Context(), subjects.HeartbeatKey(replica), jetstream.UpdatesOnly())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = watcher.Stop() })
	return watcher.Updates()
}

// Elect has a replica take part in the election of a leader.
func Elect(t testing.TB, b *bus.Bus, replica string) *cluster.Election {
	t.Helper()
	e, err := cluster.StartElection(t.Context(), b.Jet(), replica)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// Resign ends that it takes part.
func Resign(t testing.TB, e *cluster.Election) {
	t.Helper()
	if err := e.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

// AwaitLeader waits until one of the candidates leads, and returns it with its
// term.
func AwaitLeader(t testing.TB, candidates ...*cluster.Election) (*cluster.Election, uint64) {
	t.Helper()
	deadline := time.After(patience)
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

// KeepSecret keeps a secret until the test ends.
func KeepSecret(t testing.TB, b *bus.Bus, key string) *cluster.Secret {
	t.Helper()
	s, err := cluster.KeepSecret(t.Context(), b.Jet(), key, func() {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}
