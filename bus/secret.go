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
	for {
		entry, err := kv.Get(ctx, key)
		if err == nil {
			return parseSecret(key, entry.Value())
		}
		if !errors.Is(err, jetstream.ErrKeyNotFound) {
			return nil, fmt.Errorf("secret %s: %w", key, err)
		}
		record := secretRecord{V: subjects.Version, Bytes: make([]byte, secretSize)}
		_, _ = rand.Read(record.Bytes) // never fails
		body, err := json.Marshal(record)
		if err != nil {
			return nil, err
		}
		_, err = kv.Create(ctx, key, body)
		if err == nil {
			return record.Bytes, nil
		}
		if !errors.Is(err, jetstream.ErrKeyExists) {
			return nil, fmt.Errorf("secret %s: %w", key, err)
		}
	}
}

func parseSecret(key string, body []byte) ([]byte, error) {
	var record secretRecord
	if err := json.Unmarshal(body, &record); err != nil || record.V != subjects.Version || len(record.Bytes) != secretSize {
		return nil, fmt.Errorf("secret %s in bucket %s is damaged: remove the key, and a new one is made", key, subjects.StateBucket)
	}
	return record.Bytes, nil
}
