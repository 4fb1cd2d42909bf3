package bus

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/pluginhost/pluginhost/subjects"
)

// Removals are the plugins that were removed from a replica, and whose schedules,
// connections and records are to go when no replica serves them any more. It is
// safe for concurrent use.
type Removals struct {
	records records
	unhear  func()

	mu    sync.Mutex
	since map[string]removal // by key
}

type removal struct {
	id       string
	revision uint64
	since    time.Time // when we first knew of it
}

// OpenRemovals begins to follow the removals. The caller stops it.
func (b *Bus) OpenRemovals(ctx context.Context) (*Removals, error) {
	state, err := b.followState(ctx)
	if err != nil {
		return nil, err
	}
	r := &Removals{since: make(map[string]removal)}
	if r.records, err = b.records(ctx, stateBucket); err != nil {
		return nil, err
	}
	r.unhear = state.listen(subjects.RemovedKeys, r.note)
	return r, nil
}

// Stop stops following.
func (r *Removals) Stop() { r.unhear() }

func (r *Removals) note(c change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var record subjects.RemovedRecord
	if c.gone || c.decode(&record) != nil {
		delete(r.since, c.key)
		return
	}
	r.since[c.key] = removal{id: record.Plugin, revision: c.revision, since: time.Now()}
}

// Add notes that a plugin was removed from this replica.
func (r *Removals) Add(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, scheduleTimeout)
	defer cancel()
	return r.records.put(ctx, subjects.RemovedKey(id), subjects.RemovedRecord{V: subjects.Version, Plugin: id, Time: time.Now().UTC()})
}

// Undo notes that a plugin is there again, or that all it left behind is gone.
func (r *Removals) Undo(ctx context.Context, id string) error {
	key := subjects.RemovedKey(id)
	r.mu.Lock()
	known, removed := r.since[key]
	r.mu.Unlock()
	if !removed {
		return nil
	}
	if err := r.records.remove(ctx, key, known.revision); !errors.Is(err, errMoved) {
		return err
	}
	return nil
}

// Since are the plugins that have been known to be removed for so long.
func (r *Removals) Since(age time.Duration) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var ids []string
	for _, removal := range r.since {
		if time.Since(removal.since) >= age {
			ids = append(ids, removal.id)
		}
	}
	return ids
}
