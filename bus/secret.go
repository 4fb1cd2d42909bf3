package bus

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/subjects"
)

// secretSize is the length of a secret, in bytes.
const secretSize = 32

// secretRecord is a secret as it is stored.
type secretRecord struct {
	V     int    `json:"v"`
	Bytes []byte `json:"bytes"`
}

// Secret returns 32 random bytes that all replicas share under a key of
// subjects.StateBucket. The first who asks makes them.
func (b *Bus) Secret(ctx context.Context, key string) ([]byte, error) {
	kv, err := b.ensureBucket(ctx, stateBucket)
	if err != nil {
		return nil, err
	}
	secret, err := prepare(ctx, b, func(ctx context.Context) ([]byte, error) { return sharedSecret(ctx, kv, key) })
	if err != nil {
		return nil, fmt.Errorf("secret %s: %w", key, err)
	}
	return secret, nil
}

// sharedSecret reads a secret, or makes it where there is none.
func sharedSecret(ctx context.Context, kv jetstream.KeyValue, key string) ([]byte, error) {
	for {
		entry, err := kv.Get(ctx, key)
		if err == nil {
			return parseSecret(entry.Value())
		}
		if !errors.Is(err, jetstream.ErrKeyNotFound) {
			return nil, err
		}
		record := secretRecord{V: subjects.Version, Bytes: make([]byte, secretSize)}
		_, _ = rand.Read(record.Bytes) // never fails
		body, err := json.Marshal(record)
		if err != nil {
			return nil, err
		}
		if _, err = kv.Create(ctx, key, body); !errors.Is(err, jetstream.ErrKeyExists) {
			return record.Bytes, err
		}
	}
}

func parseSecret(body []byte) ([]byte, error) {
	var record secretRecord
	if err := json.Unmarshal(body, &record); err != nil || record.V != subjects.Version || len(record.Bytes) != secretSize {
		return nil, fmt.Errorf("it is damaged in bucket %s: remove the key, and a new one is made", subjects.StateBucket)
	}
	return record.Bytes, nil
}
