package replica

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/pluginhost/pluginhost/bus/schedule"
	"github.com/pluginhost/pluginhost/hostsvc/scheduler"
	"github.com/pluginhost/pluginhost/sdk/api/schema"
	"github.com/pluginhost/pluginhost/sdk/call"
	"github.com/pluginhost/pluginhost/subjects"
)

// busSchedules keeps the schedules of one plugin in the bucket of all.
type busSchedules struct {
	schedules *schedule.Schedules
	id        string
	limit     int
	init      *initialised
}

// Set implements scheduler.Store.
func (s busSchedules) Set(ctx context.Context, set scheduler.Schedule) error {
	return s.schedules.Set(ctx, subjects.ScheduleRecord{
		Plugin:     s.id,
		Schedule:   []byte(set.ID),
		Init:       markOf(ctx, set.IsMade),
		Created:    set.Created.UTC(),
		Due:        set.Due.UTC(),
		Expression: set.Expression,
		Zone:       set.Zone,
		Payload:    set.Payload,
	}, schedule.Limit{Max: s.limit, Run: s.init.of(ctx)})
}

// Cancel implements scheduler.Store.
func (s busSchedules) Cancel(ctx context.Context, id string) (bool, error) {
	return s.schedules.Cancel(ctx, s.id, id)
}

// runFire calls back a plugin whose schedule fires. What the plugin makes of it is told
// to whoever looks, and has no consequence, as in Navidrome.
func (h *hosted) runFire(ctx context.Context, record *subjects.ScheduleRecord, fire subjects.FireMessage) error {
	h.replica.log.Debug("schedule fires", "plugin", h.id, "schedule", cut(string(record.Schedule), maxText),
		"planned", record.Running.Planned, "late", time.Since(record.Running.Planned))
	missed := fire.Late != "" && record.Running.Attempt == 1
	answer, made := h.callBack(ctx, callback{
		event:  schema.Fire{Schedule: string(record.Schedule), Payload: record.Payload, Recurring: record.IsRecurring()},
		origin: call.OfSchedule, of: string(record.Schedule),
		before: func() error {
			if missed {
				h.announceMissed(record, fire)
				missed = false // there may be another attempt
			}
			return nil
		},
	})
	if errors.Is(made.Err, errNotCalled) {
		return schedule.ErrNotRun
	}
	if made.Err == nil {
		made.Err = failureIn(answer)
	}
	h.Observe(made)
	if made.Err != nil {
		return errors.New(cut(made.Err.Error(), maxText)) // it goes into the record
	}
	return nil
}

// failureIn is what the plugin says went wrong in a callback that has run.
func failureIn(o outcome) error {
	text, err := o.as.Failure(o.Response)
	if err == nil && text != "" {
		err = errors.New(text)
	}
	return err
}

func (h *hosted) announceRerun(record *subjects.ScheduleRecord, lost string) {
	h.replica.log.Warn("a fire runs once more: its replica died or stalled while it ran", "plugin", h.id,
		"schedule", cut(string(record.Schedule), maxText), "planned", record.Running.Planned, "attempt", record.Running.Attempt, "lost", lost)
	h.replica.announceSchedule(subjects.EventScheduleRerun, record, subjects.ScheduleEvent{
		Planned: record.Running.Planned, Attempt: record.Running.Attempt, Lost: lost,
	})
}

func (h *hosted) announceMissed(record *subjects.ScheduleRecord, fire subjects.FireMessage) {
	h.replica.log.Warn("a schedule fires late", "plugin", h.id, "schedule", cut(string(record.Schedule), maxText),
		"planned", fire.Planned, "late", fire.Late, "skipped", fire.Skipped)
	h.replica.announceSchedule(subjects.EventScheduleMissed, record, subjects.ScheduleEvent{
		Planned: fire.Planned, Late: fire.Late, Skipped: fire.Skipped,
	})
}

func (r *Replica) announceSchedule(kind subjects.EventKind, record *subjects.ScheduleRecord, event subjects.ScheduleEvent) {
	event.V, event.Replica, event.ID, event.Schedule, event.Time = subjects.Version, r.id, record.Plugin, record.Schedule, time.Now().UTC()
	r.publish(kind, record.Plugin, event)
}

// anybodyHas says whether a replica that may be alive has a plugin, served or not.
func (r *Replica) anybodyHas(id string) bool {
	if h := r.find(id); h != nil && (h.current.Load() != nil || !h.isGone()) {
		return true
	}
	found, _ := r.heartbeat.Others(func(other subjects.Heartbeat) bool {
		return other.Generations[id] != "" || slices.Contains(other.Unserved, id)
	})
	return found
}

// isServed says whether a replica that may be alive serves a plugin.
func (r *Replica) isServed(id string) bool {
	if h := r.find(id); h != nil && h.current.Load() != nil {
		return true
	}
	found, _ := r.heartbeat.Others(func(other subjects.Heartbeat) bool { return other.Generations[id] != "" })
	return found
}
