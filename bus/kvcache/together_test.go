package kvcache_test

import (
	"context"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/pluginhost/pluginhost/bus"
	"github.com/pluginhost/pluginhost/bus/kvcache"
	"github.com/pluginhost/pluginhost/testenv"
)

// The servers of a cluster learn one after the other of a stream that is made: for a moment some
// do not know it which others have.
func TestReplicasStartTogetherOnANewCluster(t *testing.T) {
	t.Parallel()
	urls := testenv.Cluster(t)
	var replicas []*bus.Bus
	for _, url := range urls {
		replicas = append(replicas, testenv.Bus(t, url))
	}
	js, err := jetstream.New(testenv.Connect(t, urls[0]))
	if err != nil {
		t.Fatal(err)
	}
	for range 15 {
		caches := make([]*kvcache.Cache, len(replicas))
		var group errgroup.Group
		for i, b := range replicas {
			group.Go(func() (err error) {
				caches[i], err = kvcache.Open(t.Context(), b.Jet(), kvcache.Config{})
				return err
			})
		}
		if err := group.Wait(); err != nil {
			t.Error(err)
		}
		for _, c := range caches {
			if c != nil {
				c.Stop()
			}
		}
		if err := js.DeleteStream(context.WithoutCancel(t.Context()), "KV_pluginhost-cache"); err != nil {
			t.Fatal(err)
		}
	}
}
