package scrobble

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pluginhost/pluginhost/sdk/jet"
	"github.com/pluginhost/pluginhost/subjects"
)

// Config configures Queues. All fields but Times must be set. Functions must not block.
type Config struct {
	// Replica is the identity of this replica.
	Replica string
	// Limits are those that apply now.
	Limits func() Limits
	// Users are those of the configuration.
	Users func() *Directory
	// Announce publishes an event; who it is of, when and from where is added.
	Announce func(kind subjects.EventKind, event subjects.ScrobbleEvent)
	// Times are for tests.
	Times Times
}

// Queues are the plays that wait for plugins, in JetStream. It is safe for concurrent use.
type Queues struct {
	handle   *jet.Handle
	config   Config
	times    Times
	streams  *streams
	records  jet.Records
	follower *jet.Follower
	index    *index
	users    *users

	mu     sync.Mutex
	wanted map[string]bool // plugins with Scrobbler that this replica has noted

	cancel context.CancelFunc
	done   sync.WaitGroup
}

// Open makes the streams and the bucket if they are missing, and returns once all queues are known. The caller stops the
// Queues.
func Open(ctx context.Context, handle *jet.Handle, config Config) (*Queues, error) {
	q := &Queues{handle: handle, config: config, times: config.Times.withDefaults(), index: newIndex(), users: newUsers(config.Users), wanted: make(map[string]bool)}
	var err error
	if q.streams, err = openStreams(ctx, handle, config.Limits()); err != nil {
		return nil, err
	}
	if q.follower, err = handle.Follow(ctx, queueBucket, q.note); err != nil {
		return nil, err
	}
	if q.records, err = handle.OpenRecords(ctx, queueBucket); err != nil {
		q.follower.Stop()
		return nil, err
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	q.cancel = cancel
	renewed := q.index.renewals()
	q.done.Go(func() { q.users.run(running, handle, q.records) })
	q.done.Go(func() { q.noteAgain(running, renewed) })
	return q, nil
}

// Stop stops following the queues. Routers and workers are stopped before it.
func (q *Queues) Stop() {
	q.cancel()
	q.done.Wait()
	q.follower.Stop()
}

func (q *Queues) note(c jet.Change) {
	if strings.HasPrefix(c.Key, subjects.UserKeys) {
		q.users.note(c)
		return
	}
	if err := q.index.note(c); err != nil {
		q.handle.Logger().Warn("a record of scrobbles cannot be read", "error", err)
	}
}

// Learn notes that a request has named a user with both name and id. It does not block.
func (q *Queues) Learn(user User) { q.users.learn(user) }

// Complete adds what is known of a user.
func (q *Queues) Complete(user User) User { return q.users.complete(user) }

// SetInstalled notes that a plugin has Scrobbler, or no more: plays for all plugins are for it, from then on.
func (q *Queues) SetInstalled(ctx context.Context, id string, installed bool) error {
	q.want(id, installed)
	if q.index.isInstalled(id) == installed {
		return nil
	}
	key := subjects.ScrobblerKey(id)
	if installed {
		return q.records.Put(ctx, key, subjects.ScrobblerRecord{V: subjects.Version, Plugin: id})
	}
	var record subjects.ScrobblerRecord
	revision, err := q.records.Get(ctx, key, &record)
	switch {
	case errors.Is(err, jet.ErrNoRecord):
		return nil
	case err != nil && !jet.IsUnreadable(err):
		return err
	}
	return jet.IgnoreMoved(q.records.Remove(ctx, key, revision))
}

// want notes what this replica knows of a plugin.
func (q *Queues) want(id string, installed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if delete(q.wanted, id); installed {
		q.wanted[id] = true
	}
}

// noteAgain notes plugins again that have Scrobbler whenever the bucket is another one or came back older: plays for all
// plugins would not be for them.
func (q *Queues) noteAgain(ctx context.Context, renewed <-chan struct{}) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-renewed:
			renewed = q.index.renewals()
		}
		q.mu.Lock()
		ids := slices.Sorted(maps.Keys(q.wanted))
		q.mu.Unlock()
		for _, id := range ids {
			if err := q.records.Put(ctx, subjects.ScrobblerKey(id), subjects.ScrobblerRecord{V: subjects.Version, Plugin: id}); err != nil && ctx.Err() == nil {
				q.handle.Logger().Warn("plays are not for a plugin until it is loaded again: that it has Scrobbler could not be noted", "plugin", id, "error", err)
			}
		}
	}
}

// Installed are the ids of the plugins that have Scrobbler, in their order.
func (q *Queues) Installed() []string { return q.index.installed() }

// Status sums up the queues of a plugin.
func (q *Queues) Status(id string) subjects.ScrobbleStatus {
	var s subjects.ScrobbleStatus
	for _, record := range q.index.queuesOf(id) {
		if record.Waiting() > 0 {
			s.Waiting += record.Waiting()
			s.Users++
			if s.Oldest.IsZero() || !record.Oldest.IsZero() && record.Oldest.Before(s.Oldest) {
				s.Oldest = record.Oldest
			}
			if !record.Paused.IsZero() {
				s.Paused++
			}
		}
		s.Delivered += record.Delivered
		s.Dead += record.Dead
		s.Skipped += record.Skipped
	}
	return s
}

// announce publishes an event of a plugin.
func (q *Queues) announce(kind subjects.EventKind, event subjects.ScrobbleEvent) {
	event.V, event.Replica, event.Time = subjects.Version, q.config.Replica, time.Now().UTC()
	q.config.Announce(kind, event)
}
