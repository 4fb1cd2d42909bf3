package jet

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// View is what the state bucket holds, as this program sees it.
type View struct {
	follower *Follower

	mu        sync.Mutex
	records   map[string]Change // by key
	listeners []*listener
}

// listener is told of the keys with a prefix.
type listener struct {
	prefix string
	note   func(Change)
}

// State returns the state of the cluster, followed from the first time it is asked for until the
// Handle is closed.
func (h *Handle) State(ctx context.Context) (*View, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.state != nil {
		return h.state, nil
	}
	s := &View{records: make(map[string]Change)}
	var err error
	if s.follower, err = h.Follow(ctx, StateBucket, s.note); err != nil {
		return nil, err
	}
	h.state = s
	return s, nil
}

// note keeps a change and tells the listeners.
func (s *View) note(c Change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case c.Anew:
		for key, record := range s.records {
			record.Revision = 0
			s.records[key] = record
		}
	case c.Gone:
		delete(s.records, c.Key)
	default:
		s.records[c.Key] = c
	}
	for _, l := range s.listeners {
		if c.Anew || strings.HasPrefix(c.Key, l.prefix) {
			l.note(c)
		}
	}
}

// Listen tells note of all keys with a prefix and of their changes, one at a
// time, until stop is called, and that the bucket began anew. note must not block, nor
// listen.
func (s *View) Listen(prefix string, note func(Change)) (stop func()) {
	l := &listener{prefix: prefix, note: note}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(s.records)) {
		if strings.HasPrefix(key, prefix) {
			note(s.records[key])
		}
	}
	s.listeners = append(s.listeners, l)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.listeners = slices.DeleteFunc(s.listeners, func(other *listener) bool { return other == l })
	}
}

// Forget removes the records of the state bucket with a prefix.
func (h *Handle) Forget(ctx context.Context, prefix string) error {
	state, err := h.State(ctx)
	if err != nil {
		return err
	}
	records, err := h.OpenRecords(ctx, StateBucket)
	if err != nil {
		return err
	}
	for _, record := range state.Under(prefix) {
		if err := records.Remove(ctx, record.Key, record.Revision); err != nil && !errors.Is(err, ErrMoved) {
			return fmt.Errorf("record %s: %w", record.Key, err)
		}
	}
	return nil
}

// Made is when the bucket was made that is followed.
func (s *View) Made() time.Time { return s.follower.made() }

// Info asks what is known of the bucket's stream now.
func (s *View) Info(ctx context.Context) (*jetstream.StreamInfo, error) { return s.follower.info(ctx) }

// Doubt has the bucket compared with what was told, for somebody who has read less than what was.
func (s *View) Doubt() { s.follower.doubt() }

// Under are the known records whose keys have a prefix.
func (s *View) Under(prefix string) []Change {
	s.mu.Lock()
	defer s.mu.Unlock()
	var records []Change
	for key, record := range s.records {
		if strings.HasPrefix(key, prefix) {
			records = append(records, record)
		}
	}
	return records
}
