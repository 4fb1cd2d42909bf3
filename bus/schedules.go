package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pluginhost/pluginhost/subjects"
)

// scheduleTimeout bounds what is done with the record of a schedule, a connection or a
// removal, beside the call's own deadline. It is longer than most elections of a
// JetStream leader.
const scheduleTimeout = 15 * time.Second

// ErrScheduleLimit says that a plugin has as many schedules as it may have.
var ErrScheduleLimit = errors.New("limit of schedules")

// ScheduleWatch is told of a schedule that was set or has changed, and of one that
// is gone, which is nil. The record has no payload. It must not block.
type ScheduleWatch func(key string, record *subjects.ScheduleRecord)

// Schedules is the KV bucket of the schedules of all plugins, and the stream of
// their fires. It is safe for concurrent use.
type Schedules struct {
	bus      *Bus
	records  records
	follower *follower
	watch    ScheduleWatch

	mu     sync.Mutex
	known  map[string]knownSchedule // by key
	counts map[string]int           // schedules of each plugin
	told   uint64                   // the revision up to which the watch has told everything
}

// knownSchedule is what is known of a schedule: its plugin, and its newest revision.
type knownSchedule struct {
	plugin   string
	revision uint64
}

// OpenSchedules makes the bucket and the stream where they are missing, and returns
// once watch was told of all schedules. The caller stops the Schedules.
func (b *Bus) OpenSchedules(ctx context.Context, watch ScheduleWatch) (*Schedules, error) {
	if err := b.ensureFires(ctx); err != nil {
		return nil, err
	}
	s := &Schedules{bus: b, watch: watch, known: make(map[string]knownSchedule), counts: make(map[string]int)}
	var err error
	if s.follower, err = b.follow(ctx, scheduleBucket, s.note); err != nil {
		return nil, err
	}
	if s.records, err = b.records(ctx, scheduleBucket); err != nil {
		s.follower.stop()
		return nil, err
	}
	return s, nil
}

// Stop stops watching.
func (s *Schedules) Stop() { s.follower.stop() }

func (s *Schedules) note(c change) {
	var record *subjects.ScheduleRecord
	if !c.gone {
		record = new(subjects.ScheduleRecord)
		if err := c.decode(record); err != nil {
			s.bus.config.Logger.Warn("a schedule cannot be read: cancel it", "error", err)
			record = nil
		}
	}
	if record != nil {
		record.Payload = nil
	}
	s.take(c, record)
	s.watch(c.key, record)
}

// take counts what the watch has told.
func (s *Schedules) take(c change, record *subjects.ScheduleRecord) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.revision > 0 {
		s.told = c.revision
	}
	newest := max(c.revision, s.known[c.key].revision)
	s.forget(c.key)
	if record != nil {
		s.remember(c.key, record.Plugin, newest)
	}
}

// wrote counts a schedule that we have set, before the watch comes to it. Where it has
// come further, it has told what became of the schedule.
func (s *Schedules) wrote(key, id string, revision uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if revision > s.told {
		s.forget(key)
		s.remember(key, id, revision)
	}
}

// removed counts a schedule no more that we have removed at a revision.
func (s *Schedules) removed(key string, revision uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known[key].revision == revision {
		s.forget(key)
	}
}

// remember and forget keep known and counts the same; the lock is held.
func (s *Schedules) remember(key, id string, revision uint64) {
	s.known[key] = knownSchedule{id, revision}
	s.counts[id]++
}

func (s *Schedules) forget(key string) {
	known, is := s.known[key]
	if !is {
		return
	}
	delete(s.known, key)
	if s.counts[known.plugin]--; s.counts[known.plugin] == 0 {
		delete(s.counts, known.plugin)
	}
}

// Count is how many schedules a plugin has.
func (s *Schedules) Count(id string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[id]
}

// Set sets a schedule, in the place of what is set under its id. One more than
// limit is ErrScheduleLimit; calls that set at the same moment can pass it by
// what they set. After another error it may be set or not.
func (s *Schedules) Set(ctx context.Context, record subjects.ScheduleRecord, limit int) error {
	key := subjects.ScheduleKey(record.Plugin, string(record.Schedule))
	if err := s.admit(key, record.Plugin, limit); err != nil {
		return err
	}
	record.V, record.Set = subjects.Version, newNonce()
	ctx, cancel := context.WithTimeout(ctx, scheduleTimeout)
	defer cancel()
	revision, err := s.set(ctx, key, record)
	if err != nil {
		return fmt.Errorf("schedule: %w", err)
	}
	s.wrote(key, record.Plugin, revision)
	return nil
}

// set writes a record by compare-and-set, so that an attempt without an answer cannot
// bring it back after it has fired or was cancelled, and returns its revision.
func (s *Schedules) set(ctx context.Context, key string, record subjects.ScheduleRecord) (uint64, error) {
	unsure, before := false, uint64(0)
	for {
		var is subjects.ScheduleRecord
		revision, err := s.records.get(ctx, key, &is)
		switch {
		case err != nil && !errors.Is(err, errNoRecord) && !isUnreadable(err):
			return 0, err
		case unsure && is.Set == record.Set:
			return revision, nil // it was written
		case unsure && revision != before:
			return 0, errUnsure
		}
		written, err := s.records.update(ctx, key, record, revision)
		if err == nil {
			return written, nil
		}
		if !isRefusal(err) {
			unsure, before = true, revision
		}
		if again(ctx, err) != nil {
			return 0, err
		}
	}
}

// errUnsure says that nobody can tell what became of a write.
var errUnsure = errors.New("no answer came, and it has changed since: nobody knows whether this was done")

func (s *Schedules) admit(key, id string, limit int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, replaces := s.known[key]; !replaces && s.counts[id] >= limit {
		return fmt.Errorf("%w: the plugin has %d of %d", ErrScheduleLimit, s.counts[id], limit)
	}
	return nil
}

// Cancel removes a schedule and says whether there was one. A one-time schedule
// that runs is none any more. After an error it may be removed or not.
func (s *Schedules) Cancel(ctx context.Context, id, schedule string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, scheduleTimeout)
	defer cancel()
	key, unsure := subjects.ScheduleKey(id, schedule), false
	for {
		var record subjects.ScheduleRecord
		revision, err := s.records.get(ctx, key, &record)
		switch {
		case errors.Is(err, errNoRecord) && unsure:
			return false, fmt.Errorf("schedule: %w", errUnsure) // cancelled, or it has run
		case errors.Is(err, errNoRecord):
			return false, nil
		case err != nil && !isUnreadable(err):
			return false, fmt.Errorf("schedule: %w", err)
		case record.Running != nil && !record.IsRecurring():
			return false, nil
		}
		err = s.records.remove(ctx, key, revision)
		if err == nil {
			s.removed(key, revision)
			return true, nil
		}
		unsure = unsure || !isRefusal(err)
		if again(ctx, err) != nil {
			return false, fmt.Errorf("schedule: %w", err)
		}
	}
}

// Drop removes all schedules and fires of a plugin. Schedules that are set or change
// meanwhile stay, with an error.
func (s *Schedules) Drop(ctx context.Context, id string) error {
	// Whoever follows the bucket must be told of each.
	var errs []error
	for key, revision := range s.of(id) {
		err := s.records.remove(ctx, key, revision)
		switch {
		case errors.Is(err, errMoved):
			errs = append(errs, fmt.Errorf("schedule: %w", err))
		case err != nil:
			return fmt.Errorf("schedule: %w", err)
		}
	}
	return errors.Join(append(errs, s.bus.dropFires(ctx, id))...)
}

// of are the schedules of a plugin by key, with their revisions.
func (s *Schedules) of(id string) map[string]uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	revisions := make(map[string]uint64)
	for key, known := range s.known {
		if known.plugin == id {
			revisions[key] = known.revision
		}
	}
	return revisions
}
