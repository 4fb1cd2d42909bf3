package kvcache_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/bus/kvcache"
	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/sdk/jet"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
)

// staleness is the default of [Cache] Staleness.
const staleness = 100 * time.Millisecond

var roomy = kvcache.Limits{MaxEntries: 10_000, MaxBytes: 64e6}

// openCache opens the cache of one replica, with a copy unless copied is 0.
func openCache(t *testing.T, url string, copied int64) *kvcache.Cache {
	t.Helper()
	c, err := kvcache.Open(t.Context(), testenv.Bus(t, url).Jet(), kvcache.Config{Copy: copied, Staleness: staleness})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	return c
}

func set(t *testing.T, p *kvcache.PluginCache, key, value string) {
	t.Helper()
	if err := p.Set(t.Context(), key, []byte(value), time.Hour); err != nil {
		t.Fatalf("set %.20q: %v", key, err)
	}
}

// get returns a value, or "absent".
func get(t *testing.T, p *kvcache.PluginCache, key string) string {
	t.Helper()
	value, found, err := p.Get(t.Context(), key)
	if err != nil {
		t.Fatalf("get %.20q: %v", key, err)
	}
	if !found {
		return "absent"
	}
	return string(value)
}

func wantValue(t *testing.T, p *kvcache.PluginCache, key, want string) {
	t.Helper()
	if got := get(t, p, key); got != want {
		t.Errorf("%.20q is %.40q, want %.40q", key, got, want)
	}
}

// modes runs a test with a local copy and without.
func modes(t *testing.T, test func(t *testing.T, copied int64)) {
	for name, copied := range map[string]int64{"with a copy": 32e6, "without a copy": 0} {
		t.Run(name, func(t *testing.T) { test(t, copied) })
	}
}

func TestAReplicaReadsItsOwnWritesAtOnce(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, copied int64) {
		p := openCache(t, testenv.NATS(t), copied).Of("p", roomy)
		wantValue(t, p, "k", "absent")
		for i := range 200 {
			set(t, p, "k", strconv.Itoa(i))
			wantValue(t, p, "k", strconv.Itoa(i))
			if i%10 == 9 {
				if err := p.Remove(t.Context(), "k"); err != nil {
					t.Fatal(err)
				}
				wantValue(t, p, "k", "absent")
			}
		}
		if err := p.Remove(t.Context(), "never there"); err != nil {
			t.Error(err)
		}
	})
}

func TestAnyBytesAreAKey(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	first, second := openCache(t, url, 32e6), openCache(t, url, 0)
	keys := []string{"", "\u200b", "*", ">", ".", "a.b", "a b", "$KV", "=", "=00", "\x00", "\xff\xfe", "é", "a:b", strings.Repeat("k", 64<<10), strings.Repeat("k", 64<<10+1)}
	for i, key := range keys {
		set(t, first.Of("p", roomy), key, strconv.Itoa(i))
	}
	for i, key := range keys {
		for name, cache := range map[string]*kvcache.Cache{"first": first, "second": second} {
			t.Run(fmt.Sprintf("%.10q on the %s replica", key, name), func(t *testing.T) {
				wantValue(t, cache.Of("p", roomy), key, strconv.Itoa(i))
			})
		}
	}
}

func TestPluginsDoNotSeeEachOthersValues(t *testing.T) {
	t.Parallel()
	c := openCache(t, testenv.NATS(t), 32e6)
	// In Navidrome these two were the same.
	set(t, c.Of("a", roomy), "b:c", "of a")
	wantValue(t, c.Of("a:b", roomy), "c", "absent")
	set(t, c.Of("a:b", roomy), "c", "of a:b")
	wantValue(t, c.Of("a", roomy), "b:c", "of a")
	// These share a prefix of their subjects.
	set(t, c.Of("a.b", roomy), "k", "of a.b")
	wantValue(t, c.Of("a", roomy), "k", "absent")
}

func TestAValueEndsAfterItsTimeHoweverOftenItIsRead(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, copied int64) {
		url := testenv.NATS(t)
		writer, reader := openCache(t, url, copied).Of("p", roomy), openCache(t, url, copied).Of("p", roomy)
		begun := time.Now()
		if err := writer.Set(t.Context(), "k", []byte("v"), time.Second); err != nil {
			t.Fatal(err)
		}
		set(t, writer, "kept", "v")
		for _, p := range []*kvcache.PluginCache{writer, reader} {
			for {
				got := get(t, p, "k")
				// The copy of the writer counts from the write as well.
				if got == "absent" && time.Since(begun) < time.Second {
					t.Fatal("it ended early")
				}
				if got == "absent" {
					break
				}
				if t.Context().Err() != nil || time.Since(begun) > wait {
					t.Fatal("it does not end")
				}
			}
		}
		wantValue(t, reader, "kept", "v")
	})
}

// What the server's clock shows is not known to better than a question takes.
func TestAValueDoesNotEndEarlyWhereQuestionsTakeLong(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, copied int64) {
		const long = 300 * time.Millisecond
		url := testenv.NATS(t)
		link := testenv.StartNATSLink(t, url, func(_ *testenv.NATSLink, subject string) bool {
			if subject == "$JS.API.STREAM.INFO."+subjects.CacheStream {
				<-time.After(long)
			}
			return true
		})
		writer, reader := openCache(t, url, copied).Of("p", roomy), openCache(t, link.URL(), copied).Of("p", roomy)
		begun := time.Now()
		if err := writer.Set(t.Context(), "k", []byte("v"), time.Second); err != nil {
			t.Fatal(err)
		}
		for get(t, reader, "k") != "absent" {
			if time.Since(begun) > wait {
				t.Fatal("it does not end")
			}
		}
		if lived := time.Since(begun); lived < time.Second {
			t.Errorf("it ended after %v, want a second", lived)
		}
	})
}

// wantValueWithin reads until what has happened at a time is seen, which must be
// so for every read that begins later than the staleness.
func wantValueWithin(t *testing.T, p *kvcache.PluginCache, key, want string, happened time.Time) {
	t.Helper()
	for {
		begun := time.Now()
		got := get(t, p, key)
		if got == want {
			return
		}
		if age := begun.Sub(happened); age > staleness {
			t.Fatalf("%q is %q, %v after it became %q", key, got, age, want)
		}
	}
}

// awaitValue reads until another replica's write is seen.
func awaitValue(t *testing.T, p *kvcache.PluginCache, key, want string) {
	t.Helper()
	deadline := time.Now().Add(wait)
	for get(t, p, key) != want {
		if time.Now().After(deadline) {
			t.Fatalf("%q never became %q", key, want)
		}
	}
}

func TestWithoutACopyAnotherReplicasWriteIsSeenAtOnce(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	writer, reader := openCache(t, url, 32e6).Of("p", roomy), openCache(t, url, 0).Of("p", roomy)
	for i := range 200 {
		set(t, writer, "k", strconv.Itoa(i))
		wantValue(t, reader, "k", strconv.Itoa(i))
	}
}

func TestAMissSeesAnotherReplicasWriteAtOnce(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	writer, reader := openCache(t, url, 32e6).Of("p", roomy), openCache(t, url, 32e6).Of("p", roomy)
	for i := range 100 {
		key := strconv.Itoa(i)
		wantValue(t, reader, key, "absent")
		set(t, writer, key, "v")
		wantValue(t, reader, key, "v")
	}
}

// A value that overwrites another for a short while must not bring that back.
func TestAShortValueLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	writer, reader := openCache(t, url, 32e6).Of("p", roomy), openCache(t, url, 32e6).Of("p", roomy)
	set(t, writer, "k", "long")
	wantValue(t, reader, "k", "long")
	begun := time.Now()
	if err := writer.Set(t.Context(), "k", []byte("short"), time.Second); err != nil {
		t.Fatal(err)
	}
	wantValueWithin(t, reader, "k", "short", time.Now())
	for {
		got := get(t, reader, "k")
		if got == "long" {
			t.Fatal("the former value is back")
		}
		if got == "absent" {
			break
		}
		if time.Since(begun) > wait {
			t.Fatal("it does not end")
		}
	}
	over := time.Now()
	for _, p := range []*kvcache.PluginCache{reader, writer} {
		wantValueWithin(t, p, "k", "absent", over) // each hears of the end by itself
	}
}

func TestABucketOfSomebodyElseIsRefused(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	js, err := jetstream.New(testenv.Connect(t, url))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: subjects.CacheBucket}); err != nil {
		t.Fatal(err)
	}
	if _, err := kvcache.Open(t.Context(), testenv.Bus(t, url).Jet(), kvcache.Config{}); !errors.Is(err, jet.ErrForeign) {
		t.Errorf("got %v", err)
	}
}

// Two replicas overwrite values all the time, each its own, and both read all of
// them. A read that begins later than the staleness after a write was
// acknowledged must see that one or a later one.
func TestNoCopyIsOlderThanTheStaleness(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	caches := []*kvcache.Cache{openCache(t, url, 32e6), openCache(t, url, 32e6)}
	set(t, caches[0].Of("p", roomy), "stays", "v") // or the stream's first sequence would tell
	type write struct {
		n  int
		at time.Time // when it was acknowledged
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	var reads, older atomic.Int64
	var group sync.WaitGroup
	for k := range 4 {
		key := strconv.Itoa(k)
		var newest atomic.Pointer[write]
		newest.Store(&write{})
		group.Go(func() {
			for n := 1; ctx.Err() == nil; n++ {
				if err := caches[k%2].Of("p", roomy).Set(context.Background(), key, []byte(strconv.Itoa(n)), time.Hour); err != nil {
					t.Error(err)
				}
				newest.Store(&write{n, time.Now()})
				<-time.After(time.Duration(7+40*k) * time.Millisecond)
			}
		})
		for replica, cache := range caches {
			group.Go(func() {
				for ctx.Err() == nil {
					want, begun := newest.Load(), time.Now()
					value, _, err := cache.Of("p", roomy).Get(context.Background(), key)
					if err != nil {
						t.Error(err)
						return
					}
					reads.Add(1)
					got, _ := strconv.Atoi(string(value))
					if got >= want.n {
						continue
					}
					older.Add(1)
					if age := begun.Sub(want.at); age > staleness || replica == k%2 {
						t.Errorf("replica %d read %d of %s, and %d was written %v ago", replica, got, key, want.n, age)
					}
				}
			})
		}
	}
	group.Wait()
	t.Logf("%d reads, %d of them older than the newest write", reads.Load(), older.Load())
}

func TestWritersOnTwoReplicasAgreeInTheEnd(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, copied int64) {
		url := testenv.NATS(t)
		replicas := []*kvcache.PluginCache{openCache(t, url, copied).Of("p", roomy), openCache(t, url, copied).Of("p", roomy)}
		var group sync.WaitGroup
		for r, p := range replicas {
			for writer := range 3 {
				group.Go(func() {
					for i := range 100 {
						if err := p.Set(t.Context(), "k", fmt.Appendf(nil, "%d of %d.%d", i, r, writer), time.Hour); err != nil {
							t.Error(err)
						}
						if _, found, err := p.Get(t.Context(), "k"); err != nil || !found {
							t.Errorf("found %t, %v", found, err)
						}
					}
				})
			}
		}
		group.Wait()
		last := get(t, openCache(t, url, 0).Of("p", roomy), "k")
		if !strings.HasPrefix(last, "99 of ") {
			t.Errorf("the last value is %q", last)
		}
		for _, p := range replicas {
			awaitValue(t, p, "k", last)
		}
	})
}

func TestLimitsOfAPlugin(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t, func(o *server.Options) { o.MaxPayload = 64 << 10 })
	c := openCache(t, url, 32e6)
	value := func(n int) []byte { return bytes.Repeat([]byte("v"), n) }
	tests := map[string]struct {
		limits   kvcache.Limits
		fits     []int // sizes of values that are stored one after the other
		tooLarge int
	}{
		"entries":        {kvcache.Limits{MaxEntries: 3, MaxBytes: 1e6}, []int{1, 1, 1}, 1},
		"bytes":          {kvcache.Limits{MaxEntries: 100, MaxBytes: 10_000}, []int{4000, 4000}, 4000},
		"of the server":  {roomy, []int{60 << 10}, 64 << 10},
		"no byte at all": {kvcache.Limits{MaxEntries: 1, MaxBytes: 1}, nil, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p, neighbour := c.Of(name, test.limits), c.Of(name+" 2", test.limits)
			for i, size := range test.fits {
				if err := p.Set(t.Context(), strconv.Itoa(i), value(size), time.Hour); err != nil {
					t.Fatal(err)
				}
			}
			if err := p.Set(t.Context(), "more", value(test.tooLarge), time.Hour); !errors.Is(err, kvcache.ErrLimit) {
				t.Fatalf("got %v, want ErrCacheLimit", err)
			}
			wantValue(t, p, "more", "absent")
			if len(test.fits) == 0 {
				return
			}
			// What was there stays, can be overwritten, and makes room when it goes;
			// another plugin has limits of its own.
			wantValue(t, p, "0", string(value(test.fits[0])))
			set(t, p, "0", "w")
			if err := neighbour.Set(t.Context(), "0", value(test.fits[0]), time.Hour); err != nil {
				t.Error(err)
			}
			for i := range test.fits {
				if err := p.Remove(t.Context(), strconv.Itoa(i)); err != nil {
					t.Fatal(err)
				}
			}
			set(t, p, "more", "w")
		})
	}
}

func TestLimitsCountWhatOtherReplicasWrote(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	limits := kvcache.Limits{MaxEntries: 3, MaxBytes: 1e6}
	other, p := openCache(t, url, 32e6).Of("p", limits), openCache(t, url, 32e6).Of("p", limits)
	for i := range 3 {
		set(t, other, strconv.Itoa(i), "v")
	}
	// The watch may lag by a moment, and passing the limit by it is allowed.
	for i := 3; ; i++ {
		err := p.Set(t.Context(), strconv.Itoa(i), []byte("v"), time.Hour)
		if errors.Is(err, kvcache.ErrLimit) {
			break
		}
		if err != nil || i > 10_000 {
			t.Fatalf("value %d of 3: %v", i, err)
		}
	}
}

func TestPurgingAPluginsCacheReachesCopies(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	c := openCache(t, url, 32e6)
	p, other := c.Of("p.q", roomy), c.Of("p", roomy)
	for i := range 10 {
		set(t, p, strconv.Itoa(i), "v")
	}
	set(t, other, "0", "v")
	operator := client.New(testenv.Connect(t, url))
	if err := operator.PurgeCache(t.Context(), "p.q"); err != nil {
		t.Fatal(err)
	}
	wantValueWithin(t, p, "0", "absent", time.Now())
	wantValue(t, other, "0", "v")
	set(t, p, "0", "new")
	wantValue(t, p, "0", "new")
	if err := operator.PurgeCache(t.Context(), "nobody"); err != nil {
		t.Error(err)
	}
}
