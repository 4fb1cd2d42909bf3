package cluster_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/bus/cluster"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/clustertest"
)

// A replica finds that OnInit runs on another one which lives, looks again, and goes by how it ended.
func TestAnOnInitThatRunsElsewhereIsWaitedFor(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	var runs atomic.Int64
	looks, begun, release := make(chan struct{}, 1000), make(chan struct{}, 2), make(chan struct{})
	ended := make(chan error, 2)
	initialise := func(url, replica string) {
		h := clustertest.Heartbeat(t, testenv.Bus(t, url), replica)
		t.Cleanup(func() { clustertest.Stop(t, h) })
		go func() {
			ended <- h.Initialise(context.WithoutCancel(t.Context()), cluster.InitConfig{
				ID: "new", Generation: "g", Replica: replica,
				Run: func(context.Context) error {
					runs.Add(1)
					begun <- struct{}{}
					<-release
					return nil
				},
				Hold:   func(string) {},
				Forget: func(context.Context, string) error { return nil },
			})
		}()
	}
	initialise(url, "r1")
	<-begun
	link := testenv.StartNATSLink(t, url, func(_ *testenv.NATSLink, subject string) bool {
		if strings.HasPrefix(subject, "$JS.API.STREAM.MSG.GET.KV_pluginhost-state") {
			looks <- struct{}{}
		}
		return true
	})
	initialise(link.URL(), "r2")
	for look := 0; look < 3; look++ {
		select {
		case <-looks:
		case <-begun:
			t.Error("it runs on both")
			look = 3
		case <-time.After(wait):
			t.Error("it is not looked at again")
			look = 3
		}
	}
	close(release)
	for range 2 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	if n := runs.Load(); n != 1 {
		t.Errorf("it ran %d times", n)
	}
}
