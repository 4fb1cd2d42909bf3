package packagestore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/subjects"
)

// Prune deletes what was stored before a time of the servers' clock and is under no
// digest that is named, and what is left of writes that were not finished. What is
// written meanwhile stays.
func (s *Store) Prune(ctx context.Context, named func(digest string) bool, before time.Time) error {
	kept := make(map[string]bool) // objects, by the subjects of their chunks
	metas, err := s.list(ctx, subjects.PackageMetas)
	if err != nil {
		return err
	}
	for _, subject := range metas {
		found, err := s.find(ctx, subject)
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound):
			continue // somebody else has pruned it
		case err != nil && !errors.Is(err, subjects.ErrPackageDamaged):
			return err
		case named(found.Name) || !found.stored.Before(before):
			kept[subjects.PackageChunk(found.NUID)] = true
			continue
		}
		// Up to what was seen: one that was stored again stays.
		if err := s.purge(ctx, subject, found.sequence); err != nil {
			return err
		}
	}
	chunks, err := s.list(ctx, subjects.PackageChunks)
	if err != nil {
		return err
	}
	for _, subject := range chunks {
		if kept[subject] {
			continue
		}
		newest, err := s.last(ctx, subject)
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound), err == nil && !newest.Time.Before(before):
			continue
		case err == nil:
			err = s.purge(ctx, subject, newest.Sequence)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// list returns the subjects of the stream that match a pattern.
func (s *Store) list(ctx context.Context, pattern string) (list []string, err error) {
	err = attempt(ctx, func(ctx context.Context) error {
		info, err := s.stream.Info(ctx, jetstream.WithSubjectFilter(pattern))
		if err == nil {
			list = slices.Sorted(maps.Keys(info.State.Subjects))
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list packages: %w", err)
	}
	return list, nil
}

// purge deletes the messages with a subject up to a sequence.
func (s *Store) purge(ctx context.Context, subject string, last uint64) error {
	return attempt(ctx, func(ctx context.Context) error {
		return s.stream.Purge(ctx, jetstream.WithPurgeSubject(subject), jetstream.WithPurgeSequence(last+1))
	})
}
