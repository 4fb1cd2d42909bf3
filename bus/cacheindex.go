package bus

import (
	"container/list"
	"crypto/sha256"
	"sync"
	"time"
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
	// asOf is the moment of which everything was known when it was last asked.
	asOf moment
	// since is the moment from which on copies must have been confirmed.
	since moment
}

// moment is a time of this process's monotonic clock.
type moment time.Duration

// cachedPlugin are the values of one plugin.
type cachedPlugin struct {
	values  map[cacheKey]*cachedValue
	entries int // those that are not removed
	bytes   int64
}

// cachedValue is one value of the bucket.
type cachedValue struct {
	plugin   *cachedPlugin
	key      cacheKey
	revision uint64
	// removed is a value that we have removed and that the watch still tells of:
	// who asked before that must not bring it back.
	removed bool
	size    int64  // of the record
	expires moment // at the latest
	// record is nil where there is no copy; element is its place in recent.
	record    []byte
	element   *list.Element
	confirmed moment // when the copy was known to be current
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
	x.copied, x.applied, x.first = 0, 0, 0
	x.asOf, x.since = 0, x.now()
}

// copyOf returns the copy of a record if nobody can have overwritten it longer
// than staleness ago. ask says that the index should be confirmed soon.
func (x *cacheIndex) copyOf(token string, key cacheKey, staleness time.Duration) (record []byte, ask bool) {
	now := x.now()
	x.mu.Lock()
	defer x.mu.Unlock()
	v := x.find(token, key)
	if v == nil || v.element == nil || v.revision < x.first || v.confirmed < x.since || v.expires <= now {
		return nil, false
	}
	age := now - max(v.confirmed, x.asOf)
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
	v := x.find(token, key)
	return v != nil && !v.removed
}

// isOlder says whether the index was last confirmed longer ago than this.
func (x *cacheIndex) isOlder(age time.Duration) bool {
	now := x.now()
	x.mu.Lock()
	defer x.mu.Unlock()
	return now-x.asOf > moment(age)
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
	entries, bytes = p.entries, p.bytes
	if v := p.values[without]; v != nil && !v.removed {
		entries, bytes = entries-1, bytes-v.size
	}
	return entries, bytes
}

// sweep forgets values of a plugin that are gone for certain.
func (x *cacheIndex) sweep(token string) {
	now := x.now()
	x.mu.Lock()
	defer x.mu.Unlock()
	p := x.plugins[token]
	if p == nil {
		return
	}
	for _, v := range p.values {
		if v.expires <= now || v.revision < x.first {
			x.drop(token, v)
		}
	}
}

// store notes a record that was written or read while it was current, at the
// moment before it was asked for, unless the watch has told that it is no more.
func (x *cacheIndex) store(token string, key cacheKey, revision uint64, record []byte, ttl time.Duration, asked moment) {
	x.mu.Lock()
	defer x.mu.Unlock()
	v := x.find(token, key)
	switch {
	case v == nil && revision <= x.applied, v != nil && v.revision > revision:
		return
	case v == nil || v.revision < revision:
		v = x.put(token, key, revision, int64(len(record)), ttl)
	}
	v.confirmed = max(v.confirmed, asked)
	if v.element == nil && int64(len(record))+cacheOverhead <= x.limit {
		v.record, v.element = record, x.recent.PushFront(v)
		x.copied += int64(len(record)) + cacheOverhead
	}
	for x.copied > x.limit {
		x.uncopy(x.recent.Back().Value.(*cachedValue))
	}
}

// remove notes that a value is gone since a write of our own.
func (x *cacheIndex) remove(token string, key cacheKey, revision uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	v := x.find(token, key)
	switch {
	case v != nil && v.revision >= revision:
	case revision > x.applied:
		x.put(token, key, revision, 0, cacheMarkerTTL).remove()
	case v != nil:
		x.drop(token, v)
	}
}

// put notes a value in place of an earlier one.
func (x *cacheIndex) put(token string, key cacheKey, revision uint64, size int64, ttl time.Duration) *cachedValue {
	p := x.plugins[token]
	if p == nil {
		p = &cachedPlugin{values: make(map[cacheKey]*cachedValue)}
		x.plugins[token] = p
	}
	if former := p.values[key]; former != nil {
		x.uncopy(former)
		former.remove()
	}
	v := &cachedValue{plugin: p, key: key, revision: revision, size: size, expires: x.now() + moment(ttl)}
	p.values[key] = v
	p.entries++
	p.bytes += size
	return v
}

// remove no longer counts a value.
func (v *cachedValue) remove() {
	if !v.removed {
		v.removed = true
		v.plugin.entries--
		v.plugin.bytes -= v.size
	}
}

func (x *cacheIndex) drop(token string, v *cachedValue) {
	x.uncopy(v)
	v.remove()
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
	ttl      time.Duration
}

// apply takes what the watch tells, in the order of the stream.
func (x *cacheIndex) apply(u cacheUpdate) {
	x.mu.Lock()
	defer x.mu.Unlock()
	v := x.find(u.token, u.key)
	switch {
	case u.purged:
		x.purge(u.token, u.revision)
	case v != nil && v.revision == u.revision && v.removed:
		x.drop(u.token, v)
	case v != nil && v.revision >= u.revision: // a write of our own, or a later one
	case !u.removed:
		x.put(u.token, u.key, u.revision, u.size, u.ttl)
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

// confirm notes that everything is applied that the stream had at a moment.
// Markers that tell of removed values live for cacheMarkerTTL: after a pause that
// may have hidden some, copies from before it no longer count.
func (x *cacheIndex) confirm(at moment, first uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if long := moment(cacheMarkerTTL / 2); at-x.asOf > long {
		x.since = max(x.since, at-long)
	}
	x.asOf, x.first = at, first
}
