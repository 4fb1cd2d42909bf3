package subjects

import "time"

const (
	// CacheBucket is the KV bucket of what plugins cache.
	CacheBucket = "pluginhost-cache"
	// CacheStream is the stream of CacheBucket.
	CacheStream = "KV_" + CacheBucket
	// CacheSubject begins the subjects of its keys.
	CacheSubject = "$KV." + CacheBucket + "."
	// CacheMarkerTTL is how long the server keeps telling what has become of a
	// value: that it was removed, or that it was there. A replica that has not
	// looked for half of that looks at everything anew.
	CacheMarkerTTL = time.Minute
	// KVOperation is the header of a message that is no value but tells of a
	// removal.
	KVOperation = "KV-Operation"
	// KVPurge is its value.
	KVPurge = "PURGE"
)

// CacheKey is the key of a plugin's value in CacheBucket.
func CacheKey(id, key string) string { return Token(id) + "." + Hash(key) }

// CacheKeys matches the keys of all values of a plugin.
func CacheKeys(id string) string { return Token(id) + ".*" }

// CachePurged is the key in CacheBucket of a marker that all earlier values of a
// plugin are gone. Its last token is no hash.
func CachePurged(id string) string { return Token(id) + "." + PurgedToken }

// PurgedToken is the last token of CachePurged.
const PurgedToken = "="
