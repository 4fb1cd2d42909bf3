package plugintest

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	hostcache "github.com/pluginhost/pluginhost/hostsvc/cache"
	apicache "github.com/pluginhost/pluginhost/sdk/api/host/cache"
)

// CacheEntry is a value in the plugin's cache.
type CacheEntry struct {
	// Key is what the plugin has cached it under.
	Key string
	// Value is a string, an int64, a float64 or a []byte, as the plugin has written it.
	Value any
	// Expires is when its life is over, by the clock of the host.
	Expires time.Time
}

// Cached returns a value of the plugin's cache and whether there is one: a string, an int64,
// a float64 or a []byte.
func (h *Host) Cached(key string) (value any, found bool) {
	ctx, request := context.Background(), &apicache.GetRequest{Key: key}
	text, err := h.cache.GetString(ctx, request)
	if err == nil && text.Exists {
		return text.Value, true
	}
	integer, err := h.cache.GetInt(ctx, request)
	if err == nil && integer.Exists {
		return integer.Value, true
	}
	number, err := h.cache.GetFloat(ctx, request)
	if err == nil && number.Exists {
		return number.Value, true
	}
	binary, err := h.cache.GetBytes(ctx, request)
	if err == nil && binary.Exists {
		return binary.Value, true
	}
	return nil, false
}

// CacheEntries returns all values of the plugin's cache, by key.
func (h *Host) CacheEntries() []CacheEntry {
	var entries []CacheEntry
	for _, key := range h.values.keys() {
		if value, found := h.Cached(key); found {
			entries = append(entries, CacheEntry{key, value, h.values.expiry(key)})
		}
	}
	return entries
}

// SetCached puts a string, an int64, a float64 or a []byte into the plugin's cache, as the
// plugin would: for whole seconds, and a day where ttl is 0. The test fails for what is no
// such value, and for one that a limit refuses.
func (h *Host) SetCached(key string, value any, ttl time.Duration) {
	h.t.Helper()
	var response *apicache.SetResponse
	ctx, seconds := context.Background(), int64(ttl/time.Second)
	switch value := value.(type) { // the errors are always nil
	case string:
		response, _ = h.cache.SetString(ctx, &apicache.SetStringRequest{Key: key, Value: value, TtlSeconds: seconds})
	case int64:
		response, _ = h.cache.SetInt(ctx, &apicache.SetIntRequest{Key: key, Value: value, TtlSeconds: seconds})
	case float64:
		response, _ = h.cache.SetFloat(ctx, &apicache.SetFloatRequest{Key: key, Value: value, TtlSeconds: seconds})
	case []byte:
		response, _ = h.cache.SetBytes(ctx, &apicache.SetBytesRequest{Key: key, Value: value, TtlSeconds: seconds})
	default:
		h.fail("the cache takes string, int64, float64 and []byte, not %T", value)
	}
	if !response.GetSuccess() {
		h.fail("the cache does not take the value of %q: the log says why", key)
	}
}

// values keeps what the plugin caches.
type values struct {
	clock *clock

	mu      sync.Mutex
	entries map[string]value
	bytes   int64     // of keys and values
	swept   time.Time // when what was over was removed last
}

var _ hostcache.Store = (*values)(nil)

type value struct {
	stored  []byte
	expires time.Time
}

// maxLife is the longest life of a value.
const maxLife = 100 * 365 * 24 * time.Hour

// Set implements cache.Store.
func (v *values) Set(_ context.Context, key string, stored []byte, ttl time.Duration) error {
	size := int64(len(key) + len(stored))
	v.mu.Lock()
	defer v.mu.Unlock()
	v.sweep()
	former, replaces := v.entries[key]
	others, used := len(v.entries), v.bytes
	if replaces {
		others, used = others-1, used-int64(len(key)+len(former.stored))
	}
	switch {
	case size > maxResponse:
		return fmt.Errorf("limit of the cache: value and key have %d bytes together, and %d fit", size, maxResponse)
	case others >= maxEntries:
		return fmt.Errorf("limit of the cache: the plugin has %d values, [Cache] MaxEntries is %d", others, maxEntries)
	case used+size > maxBytes:
		return fmt.Errorf("limit of the cache: the plugin's values have %d bytes, and this one %d more: [Cache] MaxBytes is %d", used, size, maxBytes)
	}
	v.bytes = used + size
	v.entries[key] = value{bytes.Clone(stored), v.clock.now().Add(min(max(ttl.Truncate(time.Second), time.Second), maxLife))}
	return nil
}

// Get implements cache.Store.
func (v *values) Get(_ context.Context, key string) ([]byte, bool, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.sweep()
	found, ok := v.entries[key]
	return found.stored, ok, nil
}

// Remove implements cache.Store.
func (v *values) Remove(_ context.Context, key string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.remove(key)
	return nil
}

// sweep removes what has outlived its time; mu is held.
func (v *values) sweep() {
	now := v.clock.now()
	if now.Equal(v.swept) {
		return
	}
	v.swept = now
	for key, entry := range v.entries {
		if !now.Before(entry.expires) {
			v.remove(key)
		}
	}
}

// remove removes a value if there is one; mu is held.
func (v *values) remove(key string) {
	if entry, found := v.entries[key]; found {
		v.bytes -= int64(len(key) + len(entry.stored))
		delete(v.entries, key)
	}
}

func (v *values) keys() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.sweep()
	return slices.Sorted(maps.Keys(v.entries))
}

func (v *values) expiry(key string) time.Time {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.entries[key].expires
}
