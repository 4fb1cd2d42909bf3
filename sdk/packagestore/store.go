// Package packagestore keeps plugin packages in JetStream, as objects that other
// clients of NATS can read: replicas and operators share it.
//
// It asks and writes one chunk at a time. The object store of nats.go reads by a
// consumer that does not end before its deadline where the servers fall silent, and
// sends chunks again that were refused behind those that follow.
package packagestore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/sdk/jet"
	"github.com/pluginhost/pluginhost/subjects"
)

// patience is how long one chunk may take: longer than the servers need to elect
// another leader.
const patience = 20 * time.Second

// Config is that of the stream that keeps the packages. Its leader answers and nobody
// else: an object is there for all once it was stored.
func Config(copies int, storage jetstream.StorageType) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        subjects.PackageStream,
		Subjects:    []string{subjects.PackageChunks, subjects.PackageMetas},
		Discard:     jetstream.DiscardNew,
		AllowRollup: true,
		Replicas:    copies,
		Storage:     storage,
	}
}

// Store is the object store of packages. It is safe for concurrent use.
type Store struct {
	js     jetstream.JetStream
	stream jetstream.Stream
}

// Open finds the store; [subjects.ErrNoPackageStore] is that there is none.
func Open(ctx context.Context, js jetstream.JetStream) (*Store, error) {
	s := &Store{js: js}
	err := attempt(ctx, func(ctx context.Context) (err error) {
		s.stream, err = js.Stream(ctx, subjects.PackageStream)
		return err
	})
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return nil, subjects.ErrNoPackageStore
	case err != nil:
		return nil, fmt.Errorf("object store %s: %w", subjects.PackageStore, err)
	}
	return s, nil
}

// attempt carries out one operation, again while nobody answers.
func attempt(ctx context.Context, operation func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return jet.Again(ctx, operation)
}

// publish stores one message.
func (s *Store) publish(ctx context.Context, msg *nats.Msg) error {
	return attempt(ctx, func(ctx context.Context) error {
		if s.js.Conn().IsReconnecting() {
			return nats.ErrConnectionReconnecting // it would be kept, and stored whenever that is over
		}
		_, err := s.js.PublishMsg(ctx, msg)
		return err
	})
}

// object is what is known of an object.
type object struct {
	jetstream.ObjectInfo
	sequence uint64
	stored   time.Time // by the clock of the servers
}

// find returns what is known of the object whose meta message has a subject.
func (s *Store) find(ctx context.Context, subject string) (object, error) {
	msg, err := s.last(ctx, subject)
	if err != nil {
		return object{}, err
	}
	found := object{sequence: msg.Sequence, stored: msg.Time}
	if err := json.Unmarshal(msg.Data, &found.ObjectInfo); err != nil {
		return found, fmt.Errorf("%w: %w", subjects.ErrPackageDamaged, err)
	}
	return found, nil
}

// last returns the newest message with a subject.
func (s *Store) last(ctx context.Context, subject string) (msg *jetstream.RawStreamMsg, err error) {
	err = attempt(ctx, func(ctx context.Context) error {
		msg, err = s.stream.GetLastMsgForSubject(ctx, subject)
		return err
	})
	return msg, err
}
