package bus

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
)

// state is what the state bucket holds, as this replica sees it.
type state struct {
	follower *follower

	mu        sync.Mutex
	records   map[string]change // by key
	listeners []*listener
}

// listener is told of the keys with a prefix.
type listener struct {
	prefix string
	note   func(change)
}

// followState returns the state of the cluster, followed from the first time it is asked
// for until the Bus is closed.
func (b *Bus) followState(ctx context.Context) (*state, error) {
	b.stateMu.Lock()
	defer b.stateMu.Unlock()
	if b.state != nil {
		return b.state, nil
	}
	s := &state{records: make(map[string]change)}
	var err error
	if s.follower, err = b.follow(ctx, stateBucket, s.note); err != nil {
		return nil, err
	}
	b.state = s
	return s, nil
}

// note keeps a change and tells the listeners.
func (s *state) note(c change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case c.anew:
		for key, record := range s.records {
			record.revision = 0
			s.records[key] = record
		}
	case c.gone:
		delete(s.records, c.key)
	default:
		s.records[c.key] = c
	}
	for _, l := range s.listeners {
		if c.anew || strings.HasPrefix(c.key, l.prefix) {
			l.note(c)
		}
	}
}

// listen tells note of all keys with a prefix and of their changes, one at a
// time, until stop is called, and that the bucket began anew. note must not block, nor
// listen.
func (s *state) listen(prefix string, note func(change)) (stop func()) {
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
