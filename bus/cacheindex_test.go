package bus

import (
	"bytes"
	"testing"
	"time"
)

const never = 24 * time.Hour

// known is an index that knows one value of plugin p, as the watch told it, with
// a copy that was read from the leader.
func known(revision uint64) *cacheIndex {
	x := newCacheIndex(1 << 20)
	x.apply(cacheUpdate{revision: revision, token: "p", size: 3, ttl: time.Hour})
	x.store("p", cacheKey{}, revision, []byte("old"), time.Hour, x.now())
	return x
}

func TestACopyIsAnsweredOnlyWhileItIsKnownToBeCurrent(t *testing.T) {
	changes := map[string]struct {
		change func(x *cacheIndex)
		want   string // empty is no copy
	}{
		"nothing happened": {func(*cacheIndex) {}, "old"},
		"a later value":    {func(x *cacheIndex) { x.apply(cacheUpdate{revision: 7, token: "p", ttl: time.Hour}) }, ""},
		"a removal":        {func(x *cacheIndex) { x.apply(cacheUpdate{revision: 7, token: "p", removed: true}) }, ""},
		"a purge":          {func(x *cacheIndex) { x.apply(cacheUpdate{revision: 7, token: "p", purged: true}) }, ""},
		"a purge of another plugin": {func(x *cacheIndex) {
			x.apply(cacheUpdate{revision: 7, token: "q", purged: true})
		}, "old"},
		"another value":   {func(x *cacheIndex) { x.apply(cacheUpdate{revision: 7, token: "p", key: cacheKey{1}, ttl: time.Hour}) }, "old"},
		"our own removal": {func(x *cacheIndex) { x.remove("p", cacheKey{}, 7) }, ""},
		"a purge of the whole stream": {func(x *cacheIndex) {
			x.confirm(x.now(), 6)
		}, ""},
		"a new watch": {func(x *cacheIndex) { x.reset() }, ""},
		"our own write, of which the watch tells later": {func(x *cacheIndex) {
			x.store("p", cacheKey{}, 9, []byte("new"), time.Hour, x.now())
			x.apply(cacheUpdate{revision: 7, token: "p", ttl: time.Hour})
			x.apply(cacheUpdate{revision: 8, token: "p", removed: true})
			x.apply(cacheUpdate{revision: 9, token: "p", ttl: time.Hour})
		}, "new"},
		"a read that was overtaken by a write": {func(x *cacheIndex) {
			x.apply(cacheUpdate{revision: 7, token: "p", ttl: time.Hour})
			x.store("p", cacheKey{}, 5, []byte("old"), time.Hour, x.now())
		}, ""},
		"a read that was overtaken by a removal": {func(x *cacheIndex) {
			x.apply(cacheUpdate{revision: 7, token: "p", removed: true})
			x.store("p", cacheKey{}, 5, []byte("old"), time.Hour, x.now())
		}, ""},
		"a read that was overtaken by our own removal": {func(x *cacheIndex) {
			x.remove("p", cacheKey{}, 7)
			x.store("p", cacheKey{}, 5, []byte("old"), time.Hour, x.now())
		}, ""},
		"a read from before a new watch": {func(x *cacheIndex) {
			asked := x.now()
			x.reset()
			x.store("p", cacheKey{}, 5, []byte("old"), time.Hour, asked)
		}, ""},
		"its time is over": {func(x *cacheIndex) {
			x.store("p", cacheKey{}, 9, []byte("new"), 0, x.now())
		}, ""},
		"confirmed a little later": {func(x *cacheIndex) { x.confirm(x.now()+moment(cacheMarkerTTL/3), 1) }, "old"},
		"confirmed after so long that a marker may have gone": {func(x *cacheIndex) {
			x.confirm(x.now()+moment(cacheMarkerTTL), 1)
		}, ""},
	}
	for name, test := range changes {
		t.Run(name, func(t *testing.T) {
			x := known(5)
			test.change(x)
			if got, _ := x.copyOf("p", cacheKey{}, never); string(got) != test.want {
				t.Errorf("the copy is %q, want %q", got, test.want)
			}
		})
	}
}

func TestAnUnconfirmedCopyIsNotAnswered(t *testing.T) {
	x := known(5)
	if got, ask := x.copyOf("p", cacheKey{}, 0); got != nil || !ask {
		t.Errorf("got %q, ask %t; want none, and to ask", got, ask)
	}
	x.confirm(x.now()+moment(time.Hour), 1) // and so from then on
	x.store("p", cacheKey{}, 5, []byte("old"), 2*time.Hour, x.now()+moment(time.Hour))
	if got, _ := x.copyOf("p", cacheKey{}, 0); string(got) != "old" {
		t.Errorf("got %q after it was confirmed", got)
	}
}

func TestCopiesAreBounded(t *testing.T) {
	const limit = 10 * (cacheOverhead + 100)
	x := newCacheIndex(limit)
	record := bytes.Repeat([]byte("r"), 100)
	for i := range 100 {
		x.store("p", cacheKey{byte(i)}, uint64(i+1), record, time.Hour, x.now())
		if x.copied > limit {
			t.Fatalf("%d bytes of copies, the limit is %d", x.copied, limit)
		}
		// The first stays, as it is used.
		if got, _ := x.copyOf("p", cacheKey{}, never); got == nil {
			t.Fatalf("after %d more the one that is used is gone", i)
		}
	}
	if n := x.recent.Len(); n != 10 {
		t.Errorf("%d copies, want 10", n)
	}
	if entries, size := x.usage("p", cacheKey{255}); entries != 100 || size != 100*100 {
		t.Errorf("%d values of %d bytes, want 100 of 10,000", entries, size)
	}
	x.store("p", cacheKey{200}, 101, bytes.Repeat(record, 100), time.Hour, x.now())
	if got, _ := x.copyOf("p", cacheKey{200}, never); got != nil {
		t.Error("a value over the limit has a copy")
	}
}

func TestUsageCountsWhatIsThere(t *testing.T) {
	x := newCacheIndex(0)
	want := func(entries int, size int64) {
		t.Helper()
		if e, b := x.usage("p", cacheKey{255}); e != entries || b != size {
			t.Errorf("%d values of %d bytes, want %d of %d", e, b, entries, size)
		}
	}
	want(0, 0)
	x.apply(cacheUpdate{revision: 1, token: "p", key: cacheKey{1}, size: 10, ttl: time.Hour})
	x.apply(cacheUpdate{revision: 2, token: "p", key: cacheKey{2}, size: 20})
	want(2, 30)
	x.apply(cacheUpdate{revision: 3, token: "p", key: cacheKey{1}, size: 1, ttl: time.Hour})
	want(2, 21)
	x.remove("p", cacheKey{1}, 4)
	want(1, 20)
	x.apply(cacheUpdate{revision: 4, token: "p", key: cacheKey{1}, removed: true})
	want(1, 20)
	x.sweep("p") // the second has no time left
	want(0, 0)
	if len(x.plugins) != 0 {
		t.Error("a plugin without values is still known")
	}
}
