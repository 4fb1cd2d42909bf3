package cluster

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pluginhost/pluginhost/sdk/jet"
	"github.com/pluginhost/pluginhost/subjects"
)

const (
	// secretSize is the length of a secret, in bytes.
	secretSize = 32
	// secretPause is between two attempts to put a secret back.
	secretPause = Lease / 6
)

// ErrSecretDamaged says that the record of a secret cannot be read, and that this
// replica does not know what was in it.
var ErrSecretDamaged = fmt.Errorf("it is damaged in bucket %s: remove the key, and a new one is made", subjects.StateBucket)

// secretRecord is a secret as it is stored.
type secretRecord struct {
	V     int    `json:"v"`
	Bytes []byte `json:"bytes"`
	// Made is when, by the clock of who made it. One without a time holds against all others.
	Made time.Time `json:"made,omitzero"`
}

// Secret is 32 random bytes that all replicas share, under a key of
// subjects.StateBucket. Each keeps them in memory and puts them back where the bucket
// was lost or the record damaged; where somebody has removed the record, it makes others.
// Of two secrets that were made for one key the one made first holds everywhere, so that
// replicas agree whoever writes last; between two of the same time, what the bucket has.
type Secret struct {
	handle  *jet.Handle
	key     string
	records jet.Records
	changed func()
	known   atomic.Pointer[secretRecord]
	wake    chan struct{} // has a token when the record has changed
	unhear  func()
	cancel  context.CancelFunc
	done    sync.WaitGroup
}

// KeepSecret reads a secret, or makes it where there is none, and keeps it. changed is
// called, by one goroutine, each time that another one holds from then on. The caller
// stops the Secret. A record that cannot be read is ErrSecretDamaged.
func KeepSecret(ctx context.Context, handle *jet.Handle, key string, changed func()) (*Secret, error) {
	state, err := handle.State(ctx)
	if err != nil {
		return nil, err
	}
	s := &Secret{handle: handle, key: key, changed: changed, wake: make(chan struct{}, 1)}
	if s.records, err = handle.OpenRecords(ctx, jet.StateBucket); err != nil {
		return nil, err
	}
	if _, err := jet.Prepare(ctx, handle, func(ctx context.Context) (struct{}, error) { return struct{}{}, s.settle(ctx) }); err != nil {
		return nil, fmt.Errorf("secret %s: %w", key, err)
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.cancel = cancel
	s.done.Go(func() { s.run(running) })
	s.unhear = state.Listen(key, func(jet.Change) {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	})
	return s, nil
}

// Bytes is the secret that holds now. It is not to be changed.
func (s *Secret) Bytes() []byte { return s.known.Load().Bytes }

// Stop stops keeping it.
func (s *Secret) Stop() {
	s.unhear()
	s.cancel()
	s.done.Wait()
}

// run settles the secret whenever its record has changed.
func (s *Secret) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		}
		before := s.known.Load()
		for {
			err := s.settleSoon(ctx)
			if err == nil {
				break
			}
			if ctx.Err() == nil {
				s.handle.Logger().Warn("whether a secret is still there cannot be asked, or it cannot be put back", "key", s.key, "error", err)
			}
			if jet.Pause(ctx, secretPause) != nil {
				return
			}
		}
		if string(before.Bytes) != string(s.Bytes()) {
			s.changed()
		}
	}
}

// settleSoon is settle, which waits for a connection, with a bound.
func (s *Secret) settleSoon(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, jet.RecordTimeout)
	defer cancel()
	return s.settle(ctx)
}

// settle has the bucket and this replica agree on a secret: the one that was made first.
func (s *Secret) settle(ctx context.Context) error {
	for {
		is, revision, err := s.read(ctx)
		known := s.known.Load()
		want := known
		switch {
		case err == nil && (known == nil || !known.Made.Before(is.Made)):
			s.known.Store(&is)
			return nil
		case errors.Is(err, jet.ErrNoRecord) && revision != 0: // it was removed: the former one is to hold no more
			want = newSecret(time.Time{})
		case errors.Is(err, jet.ErrNoRecord) && known == nil:
			want = newSecret(time.Now().UTC())
		case errors.Is(err, ErrSecretDamaged) && known == nil:
			return err
		case err == nil, errors.Is(err, jet.ErrNoRecord), errors.Is(err, ErrSecretDamaged):
			s.handle.Logger().Warn("a secret of the cluster was lost or replaced, and is put back", "key", s.key)
		default:
			return err
		}
		if _, err = s.records.Update(ctx, s.key, want, revision); err == nil {
			s.known.Store(want)
			return nil
		}
		// Somebody was faster, or nobody knows what became of it: the record tells.
		if jet.Pause(ctx, jet.RetryPause) != nil {
			return err
		}
	}
}

// read reads the record.
func (s *Secret) read(ctx context.Context) (is secretRecord, revision uint64, err error) {
	var body json.RawMessage
	revision, err = s.records.Get(ctx, s.key, &body)
	if err != nil && !jet.IsUnreadable(err) {
		return is, revision, err
	}
	if err != nil || json.Unmarshal(body, &is) != nil || is.V != subjects.Version || len(is.Bytes) != secretSize {
		return is, revision, ErrSecretDamaged
	}
	return is, revision, nil
}

func newSecret(made time.Time) *secretRecord {
	record := &secretRecord{V: subjects.Version, Bytes: make([]byte, secretSize), Made: made}
	_, _ = rand.Read(record.Bytes) // never fails
	return record
}
