package client

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/sdk/jet"
	"github.com/pluginhost/pluginhost/subjects"
)

// cancelTTL is how long it is told that a schedule was cancelled.
const cancelTTL = time.Minute

// Schedules returns the schedules of a plugin, or of all plugins for an empty id, in
// the order of plugins and of the ids they gave. Records that cannot be read are left
// out, and are the error. It asks JetStream itself, so no
// replica need be running; the user needs the rights of an operator.
func (c *Client) Schedules(ctx context.Context, id string) ([]subjects.ScheduleRecord, error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	kv, err := c.schedules(ctx)
	if err != nil || kv == nil {
		return nil, err
	}
	keys := ">"
	if id != "" {
		keys = subjects.ScheduleKeys(id)
	}
	var (
		records    []subjects.ScheduleRecord
		unreadable []error
	)
	err = list(ctx, kv, keys, func(entry jetstream.KeyValueEntry) {
		var record subjects.ScheduleRecord
		if err := json.Unmarshal(entry.Value(), &record); err != nil {
			unreadable = append(unreadable, fmt.Errorf("schedule %s: %w", entry.Key(), err))
			return
		}
		records = append(records, record)
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(records, func(a, b subjects.ScheduleRecord) int {
		return cmp.Or(cmp.Compare(a.Plugin, b.Plugin), slices.Compare(a.Schedule, b.Schedule))
	})
	return records, errors.Join(unreadable...)
}

// list tells of each value of a bucket that there is. A list that was cut off is an error.
func list(ctx context.Context, kv jetstream.KeyValue, keys string, tell func(jetstream.KeyValueEntry), options ...jetstream.WatchOpt) error {
	watcher, err := kv.Watch(ctx, keys, append(options, jetstream.IgnoreDeletes())...)
	if err != nil {
		return fmt.Errorf("list %s: %w", kv.Bucket(), err)
	}
	defer func() { _ = jet.EndWatch(watcher) }()
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("list %s: %w", kv.Bucket(), ctx.Err())
		case entry, open := <-watcher.Updates():
			switch {
			case !open:
				return fmt.Errorf("list %s: %w", kv.Bucket(), cmp.Or(ctx.Err(), nats.ErrConnectionClosed))
			case entry == nil:
				return nil
			}
			tell(entry)
		}
	}
}

// CancelSchedule removes a schedule of a plugin and says whether there was one. A
// fire of it that runs goes on. The user needs the rights of an operator.
func (c *Client) CancelSchedule(ctx context.Context, id, schedule string) (bool, error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	kv, err := c.schedules(ctx)
	if err != nil || kv == nil {
		return false, err
	}
	key := subjects.ScheduleKey(id, schedule)
	_, err = kv.Get(ctx, key)
	if err == nil {
		err = c.purge(ctx, kv, key)
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
// and says how many there were. Without a deadline each has DefaultTimeout. The user needs the rights of an operator.
func (c *Client) CancelSchedules(ctx context.Context, id string) (cancelled int, err error) {
	listing, cancel := c.bounded(ctx)
	defer cancel()
	kv, err := c.schedules(listing)
	if err != nil || kv == nil {
		return 0, err
	}
	var keys []string
	err = list(listing, kv, subjects.ScheduleKeys(id), func(entry jetstream.KeyValueEntry) { keys = append(keys, entry.Key()) }, jetstream.MetaOnly())
	if err != nil {
		return 0, err
	}
	for _, key := range keys {
		ctx, cancel := c.bounded(ctx)
		err := c.purge(ctx, kv, key)
		cancel()
		if err != nil {
			return cancelled, fmt.Errorf("cancel a schedule of %s: %w", id, err)
		}
		cancelled++
	}
	return cancelled, nil
}

func (c *Client) purge(ctx context.Context, kv jetstream.KeyValue, key string) error {
	if err := c.connected(); err != nil {
		return err
	}
	return kv.Purge(ctx, key, jetstream.PurgeTTL(cancelTTL))
}

// schedules is the bucket; nil where there is none yet.
func (c *Client) schedules(ctx context.Context) (jetstream.KeyValue, error) {
	js, err := c.jetStream()
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
