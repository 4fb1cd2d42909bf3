package bus_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
)

// Until its next beat arrives, a replica lives whose beat was lost on the way.
func TestOneLostBeatIsNoDeath(t *testing.T) {
	url := testenv.NATS(t)
	var armed atomic.Bool
	lost := make(chan struct{})
	link := testenv.StartNATSLink(t, url, func(_ *testenv.NATSLink, subject string) bool {
		if subject != "$KV.pluginhost-state."+subjects.HeartbeatKey("r1") || !armed.CompareAndSwap(true, false) {
			return true
		}
		close(lost)
		return false
	})
	loses := heartbeat(t, open(t, link.URL()), "r1")
	defer stop(t, loses)
	sees := heartbeat(t, open(t, url), "r2")
	defer stop(t, sees)
	awaitLive(t, sees, 2)
	beats := watchBeats(t, url, "r1")
	<-beats // its record, or the next one
	armed.Store(true)
	<-lost
	for len(beats) > 0 { // those before
		<-beats
	}
	timeout := time.After(wait)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-beats:
			return
		case <-tick.C:
			if !sees.Alive("r1") {
				t.Fatal("it counts as gone")
			}
		case <-timeout:
			t.Fatal("it does not beat again")
		}
	}
}

// watchBeats returns what is written of a replica's record from now on, and what it is.
func watchBeats(t *testing.T, url, replica string) <-chan jetstream.KeyValueEntry {
	t.Helper()
	js, err := jetstream.New(testenv.Connect(t, url))
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue(t.Context(), subjects.StateBucket)
	if err != nil {
		t.Fatal(err)
	}
	watcher, err := kv.Watch(t.Context(), subjects.HeartbeatKey(replica), jetstream.UpdatesOnly())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = watcher.Stop() })
	return watcher.Updates()
}
