package schedule

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/pluginhost/pluginhost/sdk/jet"
	"github.com/pluginhost/pluginhost/subjects"
)

// ErrLimit says that a plugin has as many schedules as it may have.
var ErrLimit = errors.New("limit of schedules")

// Watch is told of a schedule that was set or has changed, and of one that
// is gone, which is nil. The record has no payload. It must not block.
type Watch func(key string, record *subjects.ScheduleRecord)

// Schedules is the KV bucket of the schedules of all plugins, and the stream of
// their fires. It is safe for concurrent use.
type Schedules struct {
	handle   *jet.Handle
	records  jet.Records
	follower *jet.Follower
	watch    Watch
	index    *scheduleIndex
}

// Open makes the bucket and the stream where they are missing, and returns
// once watch was told of all schedules. The caller stops the Schedules.
func Open(ctx context.Context, handle *jet.Handle, watch Watch) (*Schedules, error) {
	s := &Schedules{handle: handle, watch: watch, index: newScheduleIndex()}
	err := s.ensureFires(ctx)
	if err != nil {
		return nil, err
	}
	if s.follower, err = handle.Follow(ctx, jet.ScheduleBucket, s.note); err != nil {
		return nil, err
	}
	if s.records, err = handle.OpenRecords(ctx, jet.ScheduleBucket); err != nil {
		s.follower.Stop()
		return nil, err
	}
	return s, nil
}

// Stop stops watching.
func (s *Schedules) Stop() { s.follower.Stop() }

func (s *Schedules) note(c jet.Change) {
	if c.Anew {
		s.index.reset()
		return
	}
	var record *subjects.ScheduleRecord
	if !c.Gone {
		record = new(subjects.ScheduleRecord)
		if err := c.Decode(record); err != nil {
			s.handle.Logger().Warn("a schedule cannot be read: cancel it", "error", err)
			record = nil
		}
	}
	if record != nil {
		record.Payload = nil
	}
	s.index.tell(c.Key, knownAs(record, c.Revision, len(c.Value)))
	s.watch(c.Key, record)
}

// knownAs is what the index keeps of a record of so many bytes at a revision; nil is one that
// is gone.
func knownAs(record *subjects.ScheduleRecord, revision uint64, size int) knownSchedule {
	known := knownSchedule{revision: revision}
	if record == nil {
		return known
	}
	known.plugin, known.run, known.size = record.Plugin, record.Init, scheduleSize(size)
	if record.Running != nil && !record.IsRecurring() {
		known.claimed = record.Running.Replica
	}
	return known
}

// scheduleSize is about what a schedule takes whose record has so many bytes: a fire has
// few.
func scheduleSize(record int) int64 { return int64(record) + 2*jet.MessageOverhead }

// Count is how many schedules a plugin has.
func (s *Schedules) Count(id string) int { return s.index.total(id) }

// Limit bounds the schedules of a plugin.
type Limit struct {
	// Max is how many it may have.
	Max int
	// Run is the run of OnInit whose schedules without an id count, beside those that no
	// OnInit has set so: those of other runs are in use elsewhere, or about to be removed.
	// Empty is none.
	Run string
}

// Plugins are the plugins that have schedules, in no order.
func (s *Schedules) Plugins() []string { return s.index.plugins() }

// Set sets a schedule, in the place of what is set under its id. One more than
// limit is ErrScheduleLimit; calls that set at the same moment can pass it by
// what they set. After another error it may be set or not.
func (s *Schedules) Set(ctx context.Context, record subjects.ScheduleRecord, limit Limit) error {
	key := subjects.ScheduleKey(record.Plugin, string(record.Schedule))
	record.V, record.Set = subjects.Version, jet.NewNonce()
	body, err := json.Marshal(record)
	if err != nil {
		return fmt.Errorf("schedule: %w", err)
	}
	if err := s.admit(ctx, key, record.Plugin, limit, len(body)); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, jet.RecordTimeout)
	defer cancel()
	revision, err := s.set(ctx, key, record)
	if err != nil {
		return fmt.Errorf("schedule: %w", err)
	}
	s.index.wrote(key, knownAs(&record, revision, len(body)))
	return nil
}

// set writes a record by compare-and-set, so that an attempt without an answer cannot
// bring it back after it has fired or was cancelled, and returns its revision.
func (s *Schedules) set(ctx context.Context, key string, record subjects.ScheduleRecord) (uint64, error) {
	unsure, before := false, uint64(0)
	var refused error // why it was not written so far
	for {
		var is subjects.ScheduleRecord
		revision, err := s.records.Get(ctx, key, &is)
		switch {
		case err != nil && !errors.Is(err, jet.ErrNoRecord) && !jet.IsUnreadable(err):
			return 0, cmp.Or(refused, err)
		case err == nil && is.Set == record.Set:
			return revision, nil // it was written
		case unsure && revision != before:
			return 0, errUnsure
		}
		written, err := s.records.Update(ctx, key, record, revision)
		if err == nil {
			return written, nil
		}
		switch {
		case jet.IsRefusal(err):
			refused = err
		case refused != nil:
			err = fmt.Errorf("%w, after it was refused: %w", err, refused)
			fallthrough
		default:
			unsure, before = true, revision
		}
		if jet.Pause(ctx, jet.RetryPause) != nil {
			return 0, err
		}
	}
}

// errUnsure says that nobody can tell what became of a write.
var errUnsure = errors.New("no answer came, and it has changed since: nobody knows whether this was done")

// admit refuses a schedule that would pass a limit: that of its plugin, or what the schedules
// of all may take of what JetStream offers. One that is no longer than what it replaces
// always fits there.
func (s *Schedules) admit(ctx context.Context, key, id string, limit Limit, record int) error {
	if replaces, count := s.index.counted(key, id, limit.Run); !replaces && count >= limit.Max {
		return fmt.Errorf("%w: the plugin has %d of %d", ErrLimit, count, limit.Max)
	}
	all, former := s.index.sum(key)
	grows := scheduleSize(record) - former
	fits := func() (most int64, fits bool) {
		most, ok := s.handle.Share(jet.ScheduleShare)
		return most, !ok || grows <= 0 || all+grows <= most
	}
	most, ok := fits()
	if !ok {
		s.handle.AskOfferAgain(ctx)
		most, ok = fits()
	}
	if !ok {
		return fmt.Errorf("%w: those of all plugins take %d bytes of JetStream, and may take %d: cancel some, or have the NATS server or its account store more", ErrLimit, all, most)
	}
	return nil
}

// Cancel removes a schedule and says whether there was one. A one-time schedule
// that runs is none any more. After an error it may be removed or not.
func (s *Schedules) Cancel(ctx context.Context, id, schedule string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, jet.RecordTimeout)
	defer cancel()
	key, unsure := subjects.ScheduleKey(id, schedule), false
	for {
		var record subjects.ScheduleRecord
		revision, err := s.records.Get(ctx, key, &record)
		switch {
		case errors.Is(err, jet.ErrNoRecord) && unsure:
			return false, fmt.Errorf("schedule: %w", errUnsure) // cancelled, or it has run
		case errors.Is(err, jet.ErrNoRecord):
			return false, nil
		case err != nil && !jet.IsUnreadable(err):
			return false, fmt.Errorf("schedule: %w", err)
		case record.Running != nil && !record.IsRecurring():
			return false, nil
		}
		err = s.records.Remove(ctx, key, revision)
		if err == nil {
			s.index.removed(key, revision)
			return true, nil
		}
		unsure = unsure || !jet.IsRefusal(err)
		if jet.Pause(ctx, jet.RetryPause) != nil {
			return false, fmt.Errorf("schedule: %w", err)
		}
	}
}

// Drop removes all schedules and fires of a plugin. Schedules that are set or change
// meanwhile stay, with an error.
func (s *Schedules) Drop(ctx context.Context, id string) error {
	// Whoever follows the bucket must be told of each.
	var errs []error
	for key, known := range s.index.of(id) {
		err := s.records.Remove(ctx, key, known.revision)
		switch {
		case err == nil:
			s.index.removed(key, known.revision)
		case errors.Is(err, jet.ErrMoved):
			errs = append(errs, fmt.Errorf("schedule: %w", err))
		default:
			return fmt.Errorf("schedule: %w", err)
		}
	}
	return errors.Join(append(errs, s.dropFires(ctx, id))...)
}
