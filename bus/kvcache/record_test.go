package kvcache

import (
	"bytes"
	"testing"
)

func FuzzCacheRecord(f *testing.F) {
	for _, record := range [][]byte{nil, {1}, {1, 0}, {2, 0}, {1, 1, 'k', 'v'}, {1, 2, 'k'}, {1, 0x81, 0x00, 'k'},
		{1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}, cacheRecord("key", []byte("value"))} {
		f.Add(record, "k")
	}
	f.Fuzz(func(t *testing.T, record []byte, key string) {
		if value, err := cacheValue(record, key); err == nil && !bytes.HasSuffix(record, append([]byte(key), value...)) {
			t.Errorf("%q has no value %q of key %q", record, value, key)
		}
		value, err := cacheValue(cacheRecord(key, record), key)
		if err != nil || !bytes.Equal(value, record) {
			t.Errorf("got %q, %v; want %q", value, err, record)
		}
		if _, err := cacheValue(cacheRecord(key+"x", record), key); err == nil {
			t.Error("the record of another key is taken")
		}
	})
}
