package kvcache

import (
	"bytes"
	"log/slog"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/bus"
	"github.com/pluginhost/pluginhost/subjects"
)

const (
	stale = 24 * time.Hour
	soon  = never - 1
)

// known is an index that knows one value of plugin p, as the watch told it, with
// a copy that was read from the leader.
func known(revision uint64) *cacheIndex {
	x := newCacheIndex(1 << 20)
	x.apply(cacheUpdate{revision: revision, token: "p", size: 3, expires: soon})
	x.store("p", cacheKey{}, revision, []byte("old"), soon, x.now())
	return x
}

func TestACopyIsAnsweredOnlyWhileItIsKnownToBeCurrent(t *testing.T) {
	t.Parallel()
	changes := map[string]struct {
		change func(x *cacheIndex)
		want   string // empty is no copy
	}{
		"nothing happened": {func(*cacheIndex) {}, "old"},
		"a later value":    {func(x *cacheIndex) { x.apply(cacheUpdate{revision: 7, token: "p", expires: soon}) }, ""},
		"a removal":        {func(x *cacheIndex) { x.apply(cacheUpdate{revision: 7, token: "p", removed: true}) }, ""},
		"a purge":          {func(x *cacheIndex) { x.apply(cacheUpdate{revision: 7, token: "p", purged: true}) }, ""},
		"a purge of another plugin": {func(x *cacheIndex) {
			x.apply(cacheUpdate{revision: 7, token: "q", purged: true})
		}, "old"},
		"another value":   {func(x *cacheIndex) { x.apply(cacheUpdate{revision: 7, token: "p", key: cacheKey{1}, expires: soon}) }, "old"},
		"our own removal": {func(x *cacheIndex) { x.remove("p", cacheKey{}, 7) }, ""},
		"a purge of the whole stream": {func(x *cacheIndex) {
			x.confirm(x.now(), 6)
		}, ""},
		"a new watch": {func(x *cacheIndex) { x.reset() }, ""},
		"our own write, of which the watch tells later": {func(x *cacheIndex) {
			x.store("p", cacheKey{}, 9, []byte("new"), soon, x.now())
			x.apply(cacheUpdate{revision: 7, token: "p", expires: soon})
			x.apply(cacheUpdate{revision: 8, token: "p", removed: true})
			x.apply(cacheUpdate{revision: 9, token: "p", expires: soon})
		}, "new"},
		"a read that was overtaken by a write": {func(x *cacheIndex) {
			x.apply(cacheUpdate{revision: 7, token: "p", expires: soon})
			x.store("p", cacheKey{}, 5, []byte("old"), soon, x.now())
		}, ""},
		"a read that was overtaken by a removal": {func(x *cacheIndex) {
			x.apply(cacheUpdate{revision: 7, token: "p", removed: true})
			x.store("p", cacheKey{}, 5, []byte("old"), soon, x.now())
		}, ""},
		"a read that was overtaken by our own removal": {func(x *cacheIndex) {
			x.remove("p", cacheKey{}, 7)
			x.store("p", cacheKey{}, 5, []byte("old"), soon, x.now())
		}, ""},
		"a read from before a new watch": {func(x *cacheIndex) {
			asked := x.now()
			x.reset()
			x.store("p", cacheKey{}, 5, []byte("old"), soon, asked)
		}, ""},
		"its time is over": {func(x *cacheIndex) {
			x.store("p", cacheKey{}, 9, []byte("new"), x.now(), x.now())
		}, ""},
	}
	for name, test := range changes {
		t.Run(name, func(t *testing.T) {
			x := known(5)
			test.change(x)
			if got, _ := x.copyOf("p", cacheKey{}, stale); string(got) != test.want {
				t.Errorf("the copy is %q, want %q", got, test.want)
			}
		})
	}
}

func TestAnUnconfirmedCopyIsNotAnswered(t *testing.T) {
	t.Parallel()
	x := known(5)
	if got, ask := x.copyOf("p", cacheKey{}, 0); got != nil || !ask {
		t.Errorf("got %q, ask %t; want none, and to ask", got, ask)
	}
	x.confirm(x.now()+moment(time.Hour), 1) // and so from then on
	x.store("p", cacheKey{}, 5, []byte("old"), soon, x.now()+moment(time.Hour))
	if got, _ := x.copyOf("p", cacheKey{}, 0); string(got) != "old" {
		t.Errorf("got %q after it was confirmed", got)
	}
}

func TestCopiesAreBounded(t *testing.T) {
	t.Parallel()
	const limit = 10 * (cacheOverhead + 100)
	x := newCacheIndex(limit)
	record := bytes.Repeat([]byte("r"), 100)
	for i := range 100 {
		x.store("p", cacheKey{byte(i)}, uint64(i+1), record, soon, x.now())
		if x.copied > limit {
			t.Fatalf("%d bytes of copies, the limit is %d", x.copied, limit)
		}
		// The first stays, as it is used.
		if got, _ := x.copyOf("p", cacheKey{}, stale); got == nil {
			t.Fatalf("after %d more the one that is used is gone", i)
		}
	}
	if n := x.recent.Len(); n != 10 {
		t.Errorf("%d copies, want 10", n)
	}
	if entries, size := x.usage("p", cacheKey{255}); entries != 100 || size != 100*100 {
		t.Errorf("%d values of %d bytes, want 100 of 10,000", entries, size)
	}
	x.store("p", cacheKey{200}, 101, bytes.Repeat(record, 100), soon, x.now())
	if got, _ := x.copyOf("p", cacheKey{200}, stale); got != nil {
		t.Error("a value over the limit has a copy")
	}
}

func TestUsageCountsWhatIsThere(t *testing.T) {
	t.Parallel()
	x := newCacheIndex(0)
	want := func(entries int, size int64) {
		t.Helper()
		if e, b := x.usage("p", cacheKey{255}); e != entries || b != size {
			t.Errorf("%d values of %d bytes, want %d of %d", e, b, entries, size)
		}
	}
	want(0, 0)
	x.apply(cacheUpdate{revision: 1, token: "p", key: cacheKey{1}, size: 10, expires: soon})
	x.apply(cacheUpdate{revision: 2, token: "p", key: cacheKey{2}, size: 20, expires: x.now() + moment(time.Hour)})
	want(2, 30)
	x.apply(cacheUpdate{revision: 3, token: "p", key: cacheKey{1}, size: 1, expires: soon})
	want(2, 21)
	x.sweep("p")
	want(2, 21)
	x.remove("p", cacheKey{1}, 4)
	want(1, 20)
	x.apply(cacheUpdate{revision: 4, token: "p", key: cacheKey{1}, removed: true})
	want(1, 20)
	x.apply(cacheUpdate{revision: 5, token: "p", key: cacheKey{2}, size: 20, expires: x.now()})
	x.sweep("p") // the time of the second is over
	want(0, 0)
	if len(x.plugins) != 0 {
		t.Error("a plugin without values is still known")
	}
	// The stream can lose values before their time.
	x.apply(cacheUpdate{revision: 6, token: "p", key: cacheKey{1}, size: 10, expires: x.now() + moment(time.Hour)})
	x.apply(cacheUpdate{revision: 7, token: "p", key: cacheKey{2}, size: 20, expires: x.now() + moment(time.Hour)})
	x.sweep("p")
	x.confirm(x.now(), 7)
	if _, size := x.sum("p", cacheKey{1}); size != 0 {
		t.Errorf("a value that is gone has %d bytes", size)
	}
	x.sweep("p")
	want(1, 20)
}

// What a plugin removes leaves nothing behind here, whether the watch tells of it
// or not.
func TestRemovedValuesTakeNoMemory(t *testing.T) {
	t.Parallel()
	x := newCacheIndex(1 << 20)
	for i := range 1000 {
		key := cacheKey{byte(i), byte(i >> 8)}
		x.store("p", key, uint64(2*i+1), []byte("v"), soon, x.now())
		x.remove("p", key, uint64(2*i+2))
	}
	if len(x.plugins) != 0 || x.copied != 0 || x.recent.Len() != 0 {
		t.Errorf("%d plugins, %d bytes and %d copies are left", len(x.plugins), x.copied, x.recent.Len())
	}
}

func TestValuesEndByTheServersClock(t *testing.T) {
	t.Parallel()
	x := newCacheIndex(0)
	server := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC) // far from ours
	asked := x.now()
	x.setClock(server, asked)
	for age, want := range map[time.Duration]time.Duration{0: time.Hour, 20 * time.Minute: 40 * time.Minute, 2 * time.Hour: -time.Hour, -time.Minute: time.Hour} {
		left := time.Duration(x.expiry(server.Add(-age), time.Hour) - asked)
		if left < want || left > want+10*time.Second {
			t.Errorf("stored %v ago: %v are left, want %v", age, left, want)
		}
	}
}

func TestAGapIsWhatEitherClockTells(t *testing.T) {
	t.Parallel()
	x := newCacheIndex(0)
	if gap := x.gap(); gap != 0 {
		t.Errorf("before anything is known: %v", gap)
	}
	x.confirm(x.now(), 1)
	if gap := x.gap(); gap > time.Minute {
		t.Errorf("at once: %v", gap)
	}
	x.asOf -= moment(time.Hour)
	if gap := x.gap(); gap < time.Hour {
		t.Errorf("an hour later: %v", gap)
	}
	x.confirm(x.now(), 1)
	x.wall = x.wall.Add(-time.Hour) // as after a suspension, in which our clock stands still
	if gap := x.gap(); gap < time.Hour {
		t.Errorf("after a suspended hour: %v", gap)
	}
}

// What the watch may have missed in a pause is not believed any more.
func TestAfterAGapTheWatchBeginsAnew(t *testing.T) {
	t.Parallel()
	c := openTestCache(t)
	p := c.Of("p", Limits{MaxEntries: 2, MaxBytes: 1e6})
	if err := p.Set(t.Context(), "k", []byte("v"), time.Hour); err != nil {
		t.Fatal(err)
	}
	<-c.index.whenConfirmed()
	c.index.mu.Lock()
	for i := range byte(5) { // nobody has these
		c.index.put("p", cacheKey{i}, 1, 1, soon)
	}
	c.index.asOf -= moment(subjects.CacheMarkerTTL)
	counted := len(c.index.plugins["p"].values)
	c.index.mu.Unlock()
	if counted != 6 {
		t.Fatalf("%d values are counted", counted)
	}
	deadline := time.After(time.Minute)
	for {
		err := p.Set(t.Context(), "k2", []byte("v"), time.Hour)
		if err == nil {
			break
		}
		select {
		case <-time.After(cacheLag):
		case <-deadline:
			t.Fatal(err)
		}
	}
	if entries, _ := c.index.usage("p", cacheKey{255}); entries > 2 {
		t.Errorf("%d values are counted", entries)
	}
}

// openTestCache opens a cache on a server of the test.
func openTestCache(t *testing.T) *Cache {
	t.Helper()
	b, err := bus.Open(t.Context(), bus.Config{Embedded: bus.Embedded{Listen: "127.0.0.1:0", StoreDir: t.TempDir()}, Name: "r", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	c, err := Open(t.Context(), b.Jet(), Config{Copy: 1e6, Staleness: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	return c
}

// While the machine slept, others may have overwritten a value, and it may have ended.
func TestACopyFromBeforeASleepIsNotAnswered(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		slept time.Duration
		want  string
	}{
		"no sleep":                    {0, "old"},
		"longer than the staleness":   {2 * stale, ""},
		"longer than the value lives": {time.Hour, ""},
	} {
		t.Run(name, func(t *testing.T) {
			x := newCacheIndex(1 << 20)
			x.apply(cacheUpdate{revision: 1, token: "p", size: 3, expires: x.now() + moment(time.Minute)})
			x.store("p", cacheKey{}, 1, []byte("old"), x.now()+moment(time.Minute), x.now())
			x.confirm(x.now(), 1)
			x.wall = x.wall.Add(-c.slept)
			record, ask := x.copyOf("p", cacheKey{}, stale)
			if string(record) != c.want || record == nil && !ask {
				t.Errorf("got %q, asked %t", record, ask)
			}
			x.confirm(x.now(), 1) // when it has woken
			if record, _ := x.copyOf("p", cacheKey{}, stale); string(record) != "old" {
				t.Error("the copy is not known to be current again")
			}
		})
	}
}
