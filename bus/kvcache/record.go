package kvcache

import (
	"bytes"
	"encoding/binary"
	"errors"

	"github.com/pluginhost/pluginhost/subjects"
)

// A record of the cache is a version byte, the length of the key as a uvarint,
// the key and the value. Keys of the bucket are hashes, so the original is kept.

var errCacheRecord = errors.New("this is no record of the cache")

// cacheRecord returns the record of a value.
func cacheRecord(key string, value []byte) []byte {
	record := make([]byte, 0, 1+binary.MaxVarintLen64+len(key)+len(value))
	record = append(record, subjects.Version)
	record = binary.AppendUvarint(record, uint64(len(key)))
	record = append(record, key...)
	return append(record, value...)
}

// cacheValue is the inverse of cacheRecord, for a key that is known. It is
// errCacheRecord for a record of another key.
func cacheValue(record []byte, key string) ([]byte, error) {
	if len(record) == 0 || record[0] != subjects.Version {
		return nil, errCacheRecord
	}
	length, n := binary.Uvarint(record[1:])
	rest := record[1+max(n, 0):]
	if n <= 0 || length != uint64(len(key)) || !bytes.HasPrefix(rest, []byte(key)) {
		return nil, errCacheRecord
	}
	return rest[len(key):], nil
}
