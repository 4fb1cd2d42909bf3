package client

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/subjects"
)

// cancelTTL is how long it is told that a schedule was cancelled.
const cancelTTL = time.Minute

// Schedules returns the schedules of a plugin, or of all plugins for an empty id, in
// the order of plugins and of the ids they gave. Records that cannot be read are left
// out, and are the error. It asks JetStream itself, so no
// replica need be running; the user needs the rights of an operator.
func (c *Client) Schedules(ctx context.Context, id string) ([]subjects.ScheduleRecord, error) {
	kv, err := c.schedules(ctx)
	if err != nil || kv == nil {
		return nil, err
	}
	keys := ">"
	if id != "" {
		keys = subjects.ScheduleKeys(id)
	}
	watcher, err := kv.Watch(ctx, keys, jetstream.IgnoreDeletes())
	if err != nil {
		return nil, fmt.Errorf("list schedules: %w", err)
	}
	defer func() { _ = watcher.Stop() }()
	var (
		records    []subjects.ScheduleRecord
		unreadable []error
	)
	for {
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("list schedules: %w", ctx.Err())
		case entry, open := <-watcher.Updates():
			if !open || entry == nil {
				slices.SortFunc(records, func(a, b subjects.ScheduleRecord) int {
					return cmp.Or(cmp.Compare(a.Plugin, b.Plugin), slices.Compare(a.Schedule, b.Schedule))
				})
				return records, errors.Join(unreadable...)
			}
			var record subjects.ScheduleRecord
			if err := json.Unmarshal(entry.Value(), &record); err != nil {
				unreadable = append(unreadable, fmt.Errorf("schedule %s: %w", entry.Key(), err))
				continue
			}
			records = append(records, record)
		}
	}
}

// CancelSchedule removes a schedule of a plugin and says whether there was one. A
// fire of it that runs goes on. The user needs the rights of an operator.
func (c *Client) CancelSchedule(ctx context.Context, id, schedule string) (bool, error) {
	kv, err := c.schedules(ctx)
	if err != nil || kv == nil {
		return false, err
	}
	key := subjects.ScheduleKey(id, schedule)
	_, err = kv.Get(ctx, key)
	if err == nil {
		err = kv.Purge(ctx, key, jetstream.PurgeTTL(cancelTTL))
	}
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("cancel a schedule of %s: %w", id, err)
	}
	return true, nil
}

// CancelSchedules removes all schedules of a plugin, also those that cannot be read,
// and says how many there were. The user needs the rights of an operator.
func (c *Client) CancelSchedules(ctx context.Context, id string) (cancelled int, err error) {
	kv, err := c.schedules(ctx)
	if err != nil || kv == nil {
		return 0, err
	}
	keys, err := kv.ListKeysFiltered(ctx, subjects.ScheduleKeys(id))
	if err != nil {
		return 0, fmt.Errorf("list schedules: %w", err)
	}
	var all []string
	for key := range keys.Keys() {
		all = append(all, key)
	}
	for _, key := range all {
		if err := kv.Purge(ctx, key, jetstream.PurgeTTL(cancelTTL)); err != nil {
			return cancelled, fmt.Errorf("cancel a schedule of %s: %w", id, err)
		}
		cancelled++
	}
	return cancelled, nil
}

// schedules is the bucket; nil where there is none yet.
func (c *Client) schedules(ctx context.Context) (jetstream.KeyValue, error) {
	js, err := jetstream.New(c.conn)
	if err != nil {
		return nil, err
	}
	kv, err := js.KeyValue(ctx, subjects.ScheduleBucket)
	switch {
	case errors.Is(err, jetstream.ErrBucketNotFound):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("schedules: %w", err)
	}
	return kv, nil
}
