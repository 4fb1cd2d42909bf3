package kvcache_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/bus/kvcache"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
)

// A write gets no answer in time, because its link stalls, and arrives when another replica has
// written the key, and was told so.
func TestALateWriteDoesNotReplaceANewerOne(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		before string // empty is no value
		write  func(ctx context.Context, p *kvcache.PluginCache) error
	}{
		"a value in the place of another": {"before", func(ctx context.Context, p *kvcache.PluginCache) error {
			return p.Set(ctx, "k", []byte("late"), time.Hour)
		}},
		"the first value": {"", func(ctx context.Context, p *kvcache.PluginCache) error {
			return p.Set(ctx, "k", []byte("late"), time.Hour)
		}},
		"a removal": {"before", func(ctx context.Context, p *kvcache.PluginCache) error { return p.Remove(ctx, "k") }},
	} {
		t.Run(name, func(t *testing.T) {
			url := testenv.NATS(t)
			var armed atomic.Bool
			arrives, passes := make(chan struct{}), make(chan struct{})
			link := testenv.StartNATSLink(t, url, func(_ *testenv.NATSLink, subject string) bool {
				if strings.HasPrefix(subject, subjects.CacheSubject) && armed.CompareAndSwap(true, false) {
					close(arrives)
					<-passes
				}
				return true
			})
			stalls, other := openCache(t, link.URL(), 32e6).Of("p", roomy), openCache(t, url, 32e6).Of("p", roomy)
			if c.before != "" {
				set(t, stalls, "k", c.before)
			}
			armed.Store(true)
			short, cancel := context.WithCancel(t.Context())
			written := make(chan error, 1)
			go func() { written <- c.write(short, stalls) }()
			<-arrives
			cancel() // its time is over
			if err := <-written; err == nil {
				t.Error("it is told to be done")
			}
			set(t, other, "k", "newer")
			close(passes)
			set(t, stalls, "after it", "v")
			wantValue(t, openCache(t, url, 0).Of("p", roomy), "k", "newer")
			wantValueWithin(t, stalls, "k", "newer", time.Now())
			wantValueWithin(t, other, "k", "newer", time.Now())
			// What the replica writes next counts.
			set(t, stalls, "k", "newest")
			wantValue(t, openCache(t, url, 0).Of("p", roomy), "k", "newest")
		})
	}
}

// Writes are conditional, and yet the last one counts, however many write a key at once.
func TestReplicasWriteOneKeyAtTheSameTime(t *testing.T) {
	t.Parallel()
	// A cluster on a machine that is busy may have no leader for longer than a write waits.
	insist := func(write func() error) {
		deadline := time.Now().Add(wait)
		for err := write(); err != nil; err = write() {
			if !errors.Is(err, context.DeadlineExceeded) || time.Now().After(deadline) {
				t.Error(err)
				return
			}
		}
	}
	for name, url := range map[string]string{"one server": testenv.NATS(t), "a cluster": strings.Join(testenv.Cluster(t), ",")} {
		t.Run(name, func(t *testing.T) {
			var group sync.WaitGroup
			for replica := range 3 {
				p := openCache(t, url, 32e6).Of("p", roomy)
				for call := range 4 {
					group.Go(func() {
						for n := range 20 {
							insist(func() error {
								return p.Set(t.Context(), "k", fmt.Appendf(nil, "%d/%d/%d", replica, call, n), time.Hour)
							})
							if n%5 == 4 {
								insist(func() error { return p.Remove(t.Context(), "k") })
							}
						}
					})
				}
			}
			group.Wait()
			p := openCache(t, url, 0).Of("p", roomy)
			insist(func() error { return p.Set(t.Context(), "k", []byte("last"), time.Hour) })
			wantValue(t, p, "k", "last")
		})
	}
}
