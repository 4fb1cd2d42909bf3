package schedule

import (
	"context"
	"errors"
	"time"

	"github.com/pluginhost/pluginhost/bus/cluster"
	"github.com/pluginhost/pluginhost/sdk/jet"
	"github.com/pluginhost/pluginhost/subjects"
)

// claimed is a fire that this replica runs: nobody else does while it is alive.
type claimed struct {
	key      string
	record   subjects.ScheduleRecord
	revision uint64
	lost     string                  // the replica that ran it before, and is gone or does no more
	before   subjects.ScheduleRecord // what the claim took the place of
}

// verdict is what becomes of a fire.
type verdict int

const (
	run   verdict = iota // it is ours
	drop                 // it was cancelled, replaced, has run, or is of a former term
	later                // another replica runs it, or nobody knows
)

// claim decides what becomes of a fire, and claims what is to be run.
func (r *Runner) claim(ctx context.Context, key string, fire subjects.FireMessage) (_ *claimed, became verdict) {
	var tried *claimed
	defer func() {
		if tried != nil && became != run {
			r.release(ctx, tried) // it may be carried out yet, and would tell that we run the fire
		}
	}()
	for ctx.Err() == nil {
		c := &claimed{key: key}
		var err error
		c.revision, err = r.schedules.records.Get(ctx, key, &c.record)
		switch {
		case errors.Is(err, jet.ErrNoRecord):
			return nil, drop
		case err != nil:
			return nil, later
		case c.record.Set != fire.Set:
			return nil, drop
		case tried != nil && tried.isIn(c.record):
			tried.revision = c.revision
			return tried, run // an attempt without an answer was carried out
		}
		if verdict := r.fence(ctx, fire); verdict != run {
			return nil, verdict
		}
		if verdict := r.prepare(c, fire); verdict != run {
			return nil, verdict
		}
		if r.write(ctx, c) == nil {
			return c, run
		}
		tried = c
		if jet.Pause(ctx, jet.RetryPause) != nil {
			break
		}
	}
	return nil, later
}

// fence drops a fire of a former term.
func (r *Runner) fence(ctx context.Context, fire subjects.FireMessage) verdict {
	if !cluster.Fencing {
		return run
	}
	term, err := r.config.Term(ctx)
	switch {
	case err != nil:
		return later
	case fire.Term < term:
		return drop
	default:
		return run
	}
}

// prepare puts the claim into the record, unless the fire is not to be run.
func (r *Runner) prepare(c *claimed, fire subjects.FireMessage) verdict {
	record := &c.record
	next := subjects.FireClaim{Replica: r.config.Replica, Planned: fire.Planned, Term: fire.Term, Attempt: 1}
	if running := record.Running; running != nil && cluster.Claims {
		if running.Replica != r.config.Replica && r.config.Runs(running.Replica) {
			return later
		}
		// Its replica is gone or knows nothing of it: the fire is run again, whichever this one is.
		next.Planned, next.Attempt = running.Planned, running.Attempt+1
		c.lost = running.Replica
	} else if cluster.Claims && !fire.Planned.After(record.Last) && !record.LastIsAhead(time.Now()) {
		return drop
	}
	c.before = *record
	if c.lost == "" {
		record.Missed += fire.Skipped
	}
	record.Running, record.Last = &next, next.Planned
	return run
}

// write writes the record of a claim in the place of the one that was read.
func (r *Runner) write(ctx context.Context, c *claimed) error {
	if !cluster.Claims {
		return r.schedules.records.Put(ctx, c.key, c.record)
	}
	revision, err := r.schedules.records.Update(ctx, c.key, c.record, c.revision)
	if err == nil {
		c.revision = revision
	}
	return err
}

// isIn says whether a record has this claim.
func (c *claimed) isIn(record subjects.ScheduleRecord) bool {
	is, want := record.Running, c.record.Running
	return record.Set == c.record.Set && is != nil &&
		is.Replica == want.Replica && is.Attempt == want.Attempt && is.Planned.Equal(want.Planned)
}

// reread reads the record again. ours says that the record still has the claim c, whose revision is
// updated, and others that another replica has claimed the same schedule.
func (r *Runner) reread(ctx context.Context, c *claimed) (ours, others bool, err error) {
	var record subjects.ScheduleRecord
	revision, err := r.schedules.records.Get(ctx, c.key, &record)
	switch {
	case errors.Is(err, jet.ErrNoRecord), jet.IsUnreadable(err):
		return false, false, nil
	case err != nil:
		return false, false, err
	case c.isIn(record):
		c.revision = revision
		return true, false, nil
	}
	others = record.Set == c.record.Set && record.Running != nil && record.Running.Replica != r.config.Replica
	return false, others, nil
}

// finish records that a fire has run, until that is certain: a one-time schedule
// goes, a recurring one waits for its next time; failure is that of its callback. It ends
// where the schedule was cancelled or replaced meanwhile. It is false where the fire is
// another replica's by now, or nobody knows.
func (r *Runner) finish(wanted context.Context, c *claimed, failure error) bool {
	return r.settle(wanted, c, "a fire that has run cannot be recorded yet", func(ctx context.Context) error {
		if !c.record.IsRecurring() {
			return r.schedules.records.Remove(ctx, c.key, c.revision)
		}
		after := c.record
		after.Running, after.Error = nil, ""
		if failure != nil {
			after.Failures++
			after.Error = failure.Error()
		}
		_, err := r.schedules.records.Update(ctx, c.key, after, c.revision)
		return err
	})
}

// release gives back a fire of which nothing was run.
func (r *Runner) release(wanted context.Context, c *claimed) {
	r.settle(wanted, c, "a fire that was not run cannot be given back yet", func(ctx context.Context) error {
		_, err := r.schedules.records.Update(ctx, c.key, c.before, c.revision)
		return err
	})
}

// settle repeats a write that ends a claim until it is carried out, or the claim is
// not ours any more. When no more fires are wanted it goes on for a little: a claim that
// stays would keep others from the fire while this replica lives. It is false where
// another replica has taken the claim over, or nobody knows. The log says yet while it
// is not carried out.
func (r *Runner) settle(wanted context.Context, c *claimed, yet string, write func(context.Context) error) bool {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	defer context.AfterFunc(wanted, func() {
		timer := time.AfterFunc(r.schedules.handle.LeavePatience(), cancel)
		context.AfterFunc(ctx, func() { timer.Stop() })
	})()
	for {
		err := write(ctx)
		if err == nil {
			return true
		}
		if !errors.Is(err, jet.ErrMoved) {
			r.schedules.handle.Logger().Warn(yet, "plugin", r.config.ID, "error", err)
		}
		// An attempt without an answer may have been carried out.
		ours, others, failed := r.reread(ctx, c)
		if errors.Is(err, jet.ErrMoved) && failed == nil && !ours {
			return !others
		}
		if jet.Pause(ctx, jet.RetryPause) != nil {
			return false
		}
	}
}
