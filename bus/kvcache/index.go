package kvcache

import (
	"container/list"
	"crypto/sha256"
	"sync"
	"time"

	"github.com/pluginhost/pluginhost/sdk/jet"
)

// cacheKey is the hash of a key.
type cacheKey = [sha256.Size]byte

// cacheIndex knows which values the bucket has, as far as the watch has seen it,
// and has copies of those that were used last.
type cacheIndex struct {
	started time.Time // what all moments count from
	limit   int64     // bytes of copies

	mu      sync.Mutex
	plugins map[string]*cachedPlugin // by token
	recent  *list.List               // of *cachedValue with a copy, the last used first
	copied  int64                    // bytes
	applied uint64                   // sequence up to which the watch has told everything
	first   uint64                   // sequence below which the stream has nothing
	// asOf is the moment of which everything is known; wall is the same on the
	// clock that does not stand still while the machine is suspended.
	asOf moment
	wall time.Time
	// since is the moment from which on a read must have been asked for: what was
	// asked before may be gone.
	since moment
	// stored is how many bytes the stream had when it was last asked, and changed what our
	// own writes have changed since.
	stored, changed int64
	confirmed       chan struct{} // closed once everything of some moment is known
	clock           serverClock
}

// cachedPlugin are the values of one plugin.
type cachedPlugin struct {
	values map[cacheKey]*cachedValue
	bytes  int64
	// next is when the first of the values ends, at the earliest.
	next moment
}

// cachedValue is one value of the bucket.
type cachedValue struct {
	plugin   *cachedPlugin
	key      cacheKey
	revision uint64
	size     int64 // of the record
	expires  moment
	// record is nil where there is no copy; element is its place in recent.
	record  []byte
	element *list.Element
	asOf    moment // when the copy was known to be current
}

// cacheOverhead is about what an entry takes in the index, in bytes.
const cacheOverhead = 256

func newCacheIndex(limit int64) *cacheIndex {
	x := &cacheIndex{started: time.Now(), limit: limit, recent: list.New()}
	x.clear()
	return x
}

func (x *cacheIndex) now() moment { return moment(time.Since(x.started)) }

// reset forgets everything, for a watch that begins anew.
func (x *cacheIndex) reset() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.clear()
}

func (x *cacheIndex) clear() {
	x.plugins = make(map[string]*cachedPlugin)
	x.recent.Init()
	x.copied, x.applied, x.first, x.asOf = 0, 0, 0, 0
	x.stored, x.changed = 0, 0
	x.since = x.now()
	x.confirmed = make(chan struct{})
}

// setClock notes what the server's clock showed when it answered a question that
// was asked at a moment.
func (x *cacheIndex) setClock(shown time.Time, asked moment) {
	answered := x.now()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.clock.learn(shown, asked, answered)
}

// expiry is the moment at which a value ends that the server stored at a time of
// its clock. The result is never too early; it may be late by at most the shortest round trip seen.
func (x *cacheIndex) expiry(stored time.Time, ttl time.Duration) moment {
	now := x.now()
	x.mu.Lock()
	defer x.mu.Unlock()
	age := max(x.clock.at(now).Sub(stored), 0)
	return now + moment(ttl-age)
}

// copyOf returns the copy of a record if nobody can have overwritten it longer
// than staleness ago. ask says that the index should be confirmed soon.
func (x *cacheIndex) copyOf(token string, key cacheKey, staleness time.Duration) (record []byte, ask bool) {
	now := x.now()
	x.mu.Lock()
	defer x.mu.Unlock()
	v := x.find(token, key)
	if v == nil || v.element == nil || v.revision < x.first || v.expires <= now {
		return nil, false
	}
	// While the machine slept others have gone on, and the value may have ended.
	slept := x.slept(now)
	if v.expires <= now+slept {
		return nil, true
	}
	age := now + slept - max(v.asOf, x.asOf)
	if ask = age > moment(staleness/2); age > moment(staleness) {
		return nil, ask
	}
	x.recent.MoveToFront(v.element)
	return v.record, ask
}

func (x *cacheIndex) find(token string, key cacheKey) *cachedValue {
	if p := x.plugins[token]; p != nil {
		return p.values[key]
	}
	return nil
}

// has says whether the watch, or a write of our own, has told of a value.
func (x *cacheIndex) has(token string, key cacheKey) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.find(token, key) != nil
}

// revision is that of a value, 0 where the index has none.
func (x *cacheIndex) revision(token string, key cacheKey) uint64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	if v := x.find(token, key); v != nil {
		return v.revision
	}
	return 0
}

// isStale says whether the index was last confirmed longer ago than counts may be old.
func (x *cacheIndex) isStale() bool {
	now := x.now()
	x.mu.Lock()
	defer x.mu.Unlock()
	return now-x.asOf > moment(cacheCounting)
}

// whenConfirmed returns a channel that is closed once the index has been
// confirmed since the watch began.
func (x *cacheIndex) whenConfirmed() <-chan struct{} {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.confirmed
}

// usage returns how many values a plugin has and their bytes, without the value
// of one key.
func (x *cacheIndex) usage(token string, without cacheKey) (entries int, bytes int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	p := x.plugins[token]
	if p == nil {
		return 0, 0
	}
	entries, bytes = len(p.values), p.bytes
	if v := p.values[without]; v != nil {
		entries, bytes = entries-1, bytes-v.size
	}
	return entries, bytes
}

// sum returns how many bytes the stream has, and how many of these a value takes.
func (x *cacheIndex) sum(token string, of cacheKey) (stored, size int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if v := x.find(token, of); v != nil && v.revision >= x.first {
		size = v.size + jet.MessageOverhead
	}
	return x.stored + x.changed, size
}

// wrote notes that a write of our own has changed by so many bytes what the stream has.
func (x *cacheIndex) wrote(bytes int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.changed += bytes
}

// changes is what our own writes have changed since the stream was last asked.
func (x *cacheIndex) changes() int64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.changed
}

// holds notes how many bytes the stream has; before is what changes returned when it was
// asked.
func (x *cacheIndex) holds(stored, before int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.stored = stored
	x.changed -= before
}

// sweep forgets values of a plugin that are gone for certain.
func (x *cacheIndex) sweep(token string) {
	now := x.now()
	x.mu.Lock()
	defer x.mu.Unlock()
	p := x.plugins[token]
	if p == nil || p.next > now {
		return
	}
	p.next = never
	for _, v := range p.values {
		if v.expires <= now || v.revision < x.first {
			x.drop(token, v)
		} else {
			p.next = min(p.next, v.expires)
		}
	}
}

// tokens are those of the plugins that have values.
func (x *cacheIndex) tokens() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	tokens := make([]string, 0, len(x.plugins))
	for token := range x.plugins {
		tokens = append(tokens, token)
	}
	return tokens
}

// store notes a record that was written or read by a request that was made at a
// moment, unless the watch has told that it is no more, or that may be.
func (x *cacheIndex) store(token string, key cacheKey, revision uint64, record []byte, expires, asked moment) {
	x.mu.Lock()
	defer x.mu.Unlock()
	v := x.find(token, key)
	switch {
	case asked < x.since, v == nil && revision <= x.applied, v != nil && v.revision > revision:
		return
	case v == nil || v.revision < revision:
		v = x.put(token, key, revision, int64(len(record)), expires)
	}
	v.asOf = max(v.asOf, asked)
	if v.element == nil && int64(len(record))+cacheOverhead <= x.limit {
		v.record, v.element = record, x.recent.PushFront(v)
		x.copied += int64(len(record)) + cacheOverhead
	}
	for x.copied > x.limit {
		x.uncopy(x.recent.Back().Value.(*cachedValue))
	}
}

// remove notes that a value is gone since a write of our own. Whoever is reading
// it now must not bring it back.
func (x *cacheIndex) remove(token string, key cacheKey, revision uint64) {
	now := x.now()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.since = now
	if v := x.find(token, key); v != nil && v.revision < revision {
		x.drop(token, v)
	}
}

// put notes a value in place of an earlier one.
func (x *cacheIndex) put(token string, key cacheKey, revision uint64, size int64, expires moment) *cachedValue {
	p := x.plugins[token]
	if p == nil {
		p = &cachedPlugin{values: make(map[cacheKey]*cachedValue), next: never}
		x.plugins[token] = p
	}
	if former := p.values[key]; former != nil {
		x.uncopy(former)
		p.bytes -= former.size
	}
	v := &cachedValue{plugin: p, key: key, revision: revision, size: size, expires: expires}
	p.values[key] = v
	p.bytes += size
	p.next = min(p.next, expires)
	return v
}

func (x *cacheIndex) drop(token string, v *cachedValue) {
	x.uncopy(v)
	v.plugin.bytes -= v.size
	delete(v.plugin.values, v.key)
	if len(v.plugin.values) == 0 {
		delete(x.plugins, token)
	}
}

// uncopy gives up the copy of a value.
func (x *cacheIndex) uncopy(v *cachedValue) {
	if v.element == nil {
		return
	}
	x.recent.Remove(v.element)
	x.copied -= int64(len(v.record)) + cacheOverhead
	v.record, v.element = nil, nil
}

// cacheUpdate is what the watch tells: a message of the stream, without its
// body.
type cacheUpdate struct {
	revision uint64
	token    string
	key      cacheKey
	purged   bool // all earlier values of the plugin are gone; key means nothing
	removed  bool // there is no value any more
	size     int64
	expires  moment
}

// apply takes what the watch tells, in the order of the stream.
func (x *cacheIndex) apply(u cacheUpdate) {
	x.mu.Lock()
	defer x.mu.Unlock()
	v := x.find(u.token, u.key)
	switch {
	case u.purged:
		x.purge(u.token, u.revision)
	case v != nil && v.revision >= u.revision: // a write of our own, or a later one
	case !u.removed:
		x.put(u.token, u.key, u.revision, u.size, u.expires)
	case v != nil:
		x.drop(u.token, v)
	}
	x.applied = u.revision
}

// skip notes that the stream has nothing between what is applied and a sequence.
func (x *cacheIndex) skip(revision uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.applied = max(x.applied, revision)
}

func (x *cacheIndex) purge(token string, before uint64) {
	if p := x.plugins[token]; p != nil {
		for _, v := range p.values {
			if v.revision < before {
				x.drop(token, v)
			}
		}
	}
}

// progress is the sequence up to which everything is applied.
func (x *cacheIndex) progress() uint64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.applied
}

// gap is how long ago everything was known, by the clock that says more; 0 is
// that nothing is known yet.
func (x *cacheIndex) gap() time.Duration {
	now := x.now()
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.asOf == 0 {
		return 0
	}
	return max(time.Duration(now-x.asOf), time.Now().Round(0).Sub(x.wall))
}

// slept is how long the machine has slept since everything was known last: the clock on the
// wall has gone on for that long. mu is held.
func (x *cacheIndex) slept(now moment) moment {
	if x.asOf == 0 {
		return 0
	}
	return max(moment(time.Now().Round(0).Sub(x.wall))-max(now-x.asOf, 0), 0)
}

// confirm notes that everything is applied that the stream had at a moment, and
// the first sequence that it has.
func (x *cacheIndex) confirm(at moment, first uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if first > x.first { // values can be gone before their time
		for _, p := range x.plugins {
			p.next = 0
		}
	}
	x.first = first
	x.asOf, x.wall = at, time.Now().Round(0)
	select {
	case <-x.confirmed:
	default:
		close(x.confirmed)
	}
}
