package kvcache_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/bus/kvcache"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
)

func TestValuesSurviveTheServer(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, copied int64) {
		server := testenv.Restartable(t)
		p := openCache(t, server.URL(), copied).Of("p", roomy)
		set(t, p, "k", "before")
		wantValue(t, p, "k", "before")
		server.Stop()
		<-time.After(staleness * 2) // no copy may be answered any more
		short, cancel := context.WithTimeout(t.Context(), staleness)
		defer cancel()
		if value, found, err := p.Get(short, "k"); err == nil {
			t.Errorf("without a server: %q, %t", value, found)
		}
		short, cancel = context.WithTimeout(t.Context(), staleness)
		defer cancel()
		if err := p.Set(short, "k", []byte("meanwhile"), time.Hour); err == nil {
			t.Error("a value was stored without a server")
		}
		server.Start()
		// The write that failed does not arrive later.
		wantValue(t, p, "k", "before")
		set(t, p, "k", "after")
		wantValue(t, p, "k", "after")
		wantValue(t, openCache(t, server.URL(), copied).Of("p", roomy), "k", "after")
	})
}

func TestABucketThatIsGoneIsMadeAnew(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	modes(t, func(t *testing.T, copied int64) {
		p, other := openCache(t, url, copied).Of("p", roomy), openCache(t, url, copied).Of("p", roomy)
		js, err := jetstream.New(testenv.Connect(t, url))
		if err != nil {
			t.Fatal(err)
		}
		for range 5 { // also while the watch waits to begin anew
			set(t, p, "k", "old")
			wantValue(t, p, "k", "old")
			wantValue(t, other, "k", "old")
			if err := js.DeleteStream(t.Context(), subjects.CacheStream); err != nil {
				t.Fatal(err)
			}
			set(t, p, "k2", "new")
			wantValue(t, p, "k2", "new")
			wantValueWithin(t, other, "k", "absent", time.Now())
			wantValueWithin(t, p, "k", "absent", time.Now())
			if err := p.Remove(t.Context(), "k2"); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestAPurgeOfTheBucketReachesCopies(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	p := openCache(t, url, 32e6).Of("p", roomy)
	js, err := jetstream.New(testenv.Connect(t, url))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), subjects.CacheStream)
	if err != nil {
		t.Fatal(err)
	}
	set(t, p, "k", "v")
	wantValue(t, p, "k", "v")
	if err := stream.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantValueWithin(t, p, "k", "absent", time.Now())
}

// What others put into the bucket, or how they made it, must not bring a replica
// down.
func TestForeignMessagesInTheBucketAreIgnored(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	p := openCache(t, url, 32e6).Of("p", roomy)
	js, err := jetstream.New(testenv.Connect(t, url))
	if err != nil {
		t.Fatal(err)
	}
	prefix := subjects.CacheSubject
	for _, subject := range []string{"x", "p.x", "p.x.y", "p." + strings.Repeat("0", 63), "p." + strings.Repeat("g", 64), "p." + strings.Repeat("0", 66), subjects.CachePurged("p"), subjects.CacheKey("p", "k")} {
		for _, body := range []string{"", "garbage", "\x01", "\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"} {
			if _, err := js.Publish(t.Context(), prefix+subject, []byte(body)); err != nil {
				t.Fatal(err)
			}
		}
	}
	wantValue(t, p, "k", "absent")
	set(t, p, "k", "v")
	wantValue(t, p, "k", "v")
}

// The stream's leader is killed: no acknowledged value is lost, and the
// connection survives.
func TestValuesSurviveTheDeathOfTheStreamsLeader(t *testing.T) {
	t.Parallel()
	cluster := testenv.StartNATSCluster(t)
	b := testenv.Bus(t, cluster.URL())
	c, err := kvcache.Open(t.Context(), b.Jet(), kvcache.Config{Copy: 32e6, Staleness: staleness})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	p := c.Of("p", roomy)
	js, err := jetstream.New(testenv.Connect(t, cluster.URL()))
	if err != nil {
		t.Fatal(err)
	}
	acknowledged := map[string]string{}
	write := func(value string) (failed int) {
		for i := range 50 {
			key := strconv.Itoa(i)
			if err := p.Set(t.Context(), key, []byte(value), time.Hour); err != nil {
				failed++
				delete(acknowledged, key) // it may be stored or not
				return failed
			}
			acknowledged[key] = value
		}
		return 0
	}
	if failed := write("before"); failed > 0 {
		t.Fatal("not stored")
	}
	stream, err := js.Stream(t.Context(), subjects.CacheStream)
	if err != nil {
		t.Fatal(err)
	}
	info := stream.CachedInfo()
	if info.Config.Replicas != 3 || info.Config.AllowDirect || info.Config.MaxMsgsPerSubject != 64 || info.Config.SubjectDeleteMarkerTTL != 0 {
		t.Errorf("the bucket is %+v", info.Config)
	}
	cluster.Kill(info.Cluster.Leader)
	deadline := time.Now().Add(wait * 2)
	for n := 0; write(fmt.Sprintf("after %d", n)) > 0; n++ {
		if time.Now().After(deadline) {
			t.Fatal("no leader is elected")
		}
	}
	for key, want := range acknowledged {
		wantValue(t, p, key, want)
	}
	cluster.Start(info.Cluster.Leader)
	other := openCache(t, cluster.URL(), 0).Of("p", roomy)
	for key, want := range acknowledged {
		wantValue(t, other, key, want)
	}
	select {
	case err := <-b.Lost():
		t.Error(err)
	default:
	}
}
