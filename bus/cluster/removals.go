package cluster

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/pluginhost/pluginhost/sdk/jet"
	"github.com/pluginhost/pluginhost/subjects"
)

// Removals are the plugins that were removed from a replica, and whose schedules,
// connections and records are to go when no replica has them any more. It is
// safe for concurrent use.
type Removals struct {
	replica string
	state   *jet.View
	records jet.Records
	unhear  func()

	mu    sync.Mutex
	known map[string]string // ids of the plugins, by key
}

// OpenRemovals begins to follow the removals, for a replica of this identity. The
// caller stops it.
func OpenRemovals(ctx context.Context, handle *jet.Handle, replica string) (*Removals, error) {
	state, err := handle.State(ctx)
	if err != nil {
		return nil, err
	}
	r := &Removals{replica: replica, state: state, known: make(map[string]string)}
	if r.records, err = handle.OpenRecords(ctx, jet.StateBucket); err != nil {
		return nil, err
	}
	r.unhear = state.Listen(subjects.RemovedKeys, r.note)
	return r, nil
}

// Stop stops following.
func (r *Removals) Stop() { r.unhear() }

func (r *Removals) note(c jet.Change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var record subjects.RemovedRecord
	if c.Gone || c.Decode(&record) != nil {
		delete(r.known, c.Key)
		return
	}
	r.known[c.Key] = record.Plugin
}

// Known are the plugins that were removed.
func (r *Removals) Known() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var ids []string
	for _, id := range r.known {
		ids = append(ids, id)
	}
	return ids
}

// Owners are the plugins that have records of OnInit or of connections, in no order: what
// goes when they are removed.
func (r *Removals) Owners() []string {
	ids := make(map[string]bool)
	for _, prefix := range []string{subjects.AllInitKeys, subjects.AllSocketKeys} {
		for _, c := range r.state.Under(prefix) {
			var record struct {
				Plugin string `json:"plugin"`
			}
			if c.Decode(&record) == nil && record.Plugin != "" {
				ids[record.Plugin] = true
			}
		}
	}
	return slices.Collect(maps.Keys(ids))
}

// Add notes that a plugin was removed from this replica.
func (r *Removals) Add(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, jet.RecordTimeout)
	defer cancel()
	return r.records.Put(ctx, subjects.RemovedKey(id), subjects.RemovedRecord{V: subjects.Version, Plugin: id, Time: time.Now().UTC()})
}

// Undo notes that a plugin is there again. It waits for a replica that has begun to
// remove what is left, unless isOver says that it does so no more: nothing is to go
// which the plugin makes from now on.
func (r *Removals) Undo(ctx context.Context, id string, isOver func(cleaner string) bool) error {
	key := subjects.RemovedKey(id)
	for {
		var record subjects.RemovedRecord
		revision, err := r.records.Get(ctx, key, &record)
		switch {
		case errors.Is(err, jet.ErrNoRecord):
			return nil
		case err != nil && !jet.IsUnreadable(err):
			return err
		case record.Cleaning == "", isOver(record.Cleaning):
			if err = r.records.Remove(ctx, key, revision); err == nil {
				return nil
			}
		}
		if jet.Pause(ctx, jet.RetryPause) != nil {
			return ctx.Err()
		}
	}
}

// Clean has what a removed plugin has left behind removed, unless the plugin is there
// again; one that another replica has begun is gone on with.
func (r *Removals) Clean(ctx context.Context, id string, clean func(context.Context) error) error {
	key := subjects.RemovedKey(id)
	var record subjects.RemovedRecord
	revision, err := r.records.Get(ctx, key, &record)
	if errors.Is(err, jet.ErrNoRecord) {
		return nil
	}
	if err != nil {
		return err
	}
	record.Cleaning = r.replica
	if revision, err = r.records.Update(ctx, key, record, revision); err != nil {
		return jet.IgnoreMoved(err) // it is looked at again
	}
	if err := clean(ctx); err != nil {
		return err
	}
	return jet.IgnoreMoved(r.records.Remove(ctx, key, revision))
}
