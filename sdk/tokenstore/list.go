package tokenstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/sdk/jet"
	"github.com/pluginhost/pluginhost/subjects"
)

// readers is how many records are read at once.
const readers = 16

// List returns all tokens in the order in which they were made, and those that have expired for another
// month. Records that cannot be read are left out, and are the error. A list that is nil is none.
func (s *Store) List(ctx context.Context) ([]subjects.AccessTokenRecord, error) {
	keys, err := s.keys(ctx)
	if err != nil {
		return nil, err
	}
	records, unreadable := make([]*subjects.AccessTokenRecord, len(keys)), make([]error, len(keys))
	ctx, abandon := context.WithCancelCause(ctx)
	defer abandon(nil)
	next := make(chan int)
	var reading sync.WaitGroup
	for range min(readers, len(keys)) {
		reading.Go(func() {
			for i := range next {
				found, err := s.get(ctx, keys[i])
				var broken *unreadableError
				switch {
				case err == nil:
					records[i] = &found.AccessTokenRecord
				case errors.As(err, &broken):
					unreadable[i] = err
				case !errors.Is(err, ErrUnknown): // which is that it was revoked
					abandon(err)
				}
			}
		})
	}
	for i := range keys {
		next <- i
	}
	close(next)
	reading.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, fmt.Errorf("list tokens: %w", err)
	}
	list := []subjects.AccessTokenRecord{}
	for _, record := range records {
		if record != nil {
			list = append(list, *record)
		}
	}
	slices.SortStableFunc(list, func(a, b subjects.AccessTokenRecord) int { return a.Created.Compare(b.Created) })
	return list, errors.Join(unreadable...)
}

// Revoke ends the token with a public id, also one that cannot be read: Find does not find it any more
// once Revoke has returned. ErrUnknown is that there is none.
func (s *Store) Revoke(ctx context.Context, id string) error {
	if !subjects.IsAccessTokenID(id) {
		return ErrUnknown
	}
	keys, err := s.keys(ctx)
	if err != nil {
		return err
	}
	there := false
	for _, key := range keys {
		if subjects.AccessTokenID(key) != id {
			continue
		}
		if _, err := s.get(ctx, key); errors.Is(err, ErrUnknown) {
			continue // it was revoked a moment ago
		}
		there = true
		// Whatever is there, and whoever notes at this moment that it is used.
		msg := nats.NewMsg(jet.AccessTokenBucket.Subject(key))
		msg.Header.Set(subjects.KVOperation, subjects.KVPurge)
		jet.RollUp(msg)
		setTTL(msg, keepRevoked)
		if err := s.publish(ctx, msg); err != nil {
			return failed("revoke token "+id, err)
		}
	}
	if !there {
		return ErrUnknown
	}
	return nil
}

// keys are those of all tokens, and of those that were revoked a moment ago, as the leader of the
// bucket has them.
func (s *Store) keys(ctx context.Context) ([]string, error) {
	all := jet.AccessTokenBucket.Subject(">")
	var info *jetstream.StreamInfo
	err := attempt(ctx, func(ctx context.Context) (err error) {
		info, err = s.stream.Info(ctx, jetstream.WithSubjectFilter(all))
		return err
	})
	if err != nil {
		return nil, failed("list tokens", err)
	}
	var keys []string
	for subject := range info.State.Subjects {
		if key := strings.TrimPrefix(subject, strings.TrimSuffix(all, ">")); subjects.IsAccessTokenKey(key) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys, nil
}
