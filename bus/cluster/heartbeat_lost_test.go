package cluster_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/clustertest"
)

// Until its next beat arrives, a replica lives whose beat was lost on the way.
func TestOneLostBeatIsNoDeath(t *testing.T) {
	t.Parallel()
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
	loses := clustertest.Heartbeat(t, testenv.Bus(t, link.URL()), "r1")
	defer clustertest.Stop(t, loses)
	sees := clustertest.Heartbeat(t, testenv.Bus(t, url), "r2")
	defer clustertest.Stop(t, sees)
	clustertest.AwaitLive(t, sees, 2)
	beats := clustertest.WatchBeats(t, url, "r1")
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
