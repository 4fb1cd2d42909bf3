package scrobble

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pluginhost/pluginhost/sdk/excerpt"
	"github.com/pluginhost/pluginhost/sdk/jet"
	"github.com/pluginhost/pluginhost/subjects"
)

const (
	// maxUnknown is how often a play is tried whose error nobody knows.
	maxUnknown = 3
	// laterUnknown is how much longer its third attempt is waited for than its second.
	laterUnknown = 15
	// maxCrashes is how often a play may crash a plugin that works for others before it is set aside.
	maxCrashes = 10
	// maxAside is how many plays of a queue are set aside.
	maxAside = 32
	// maxSkipped is how many plays are skipped in one turn.
	maxSkipped = 256
)

// try tries a play that is claimed. goesOn is that the next one can follow.
func (d *delivery) try(running, writing context.Context, p *waitingPlay) (goesOn bool, err error) {
	if d.queues.isTooOld(p.Accepted) {
		return true, d.bury(writing, p, subjects.DeadTooOld)
	}
	user, request, err := d.request(p)
	if err != nil {
		p.tries.Error = err.Error()
		return true, d.bury(writing, p, subjects.DeadUnreadable)
	}
	if linked, goesOn, err := d.ask(running, writing, p, user); !linked {
		return goesOn, err
	}
	if !keepsUntilTaken {
		if err := d.finish(writing, p, subjects.PlayDelivered); err != nil {
			return true, err
		}
	}
	before := d.worker.triedBefore(d.lane, time.Now())
	result := d.worker.config.Plugin.Scrobble(running, user, request)
	if running.Err() != nil && result.error() != "" { // cut off, which says nothing of the play
		d.announce(subjects.EventScrobbleRerun, p, subjects.ScrobbleEvent{Error: result.error()})
		return false, nil
	}
	if d.worker.wanted.Err() != nil && errors.Is(result.Err, subjects.ErrUnavailable) {
		return false, nil // the plugin leaves this replica: another one goes on at once
	}
	p.tries.Attempts++
	p.tries.Error = excerpt.Cut(result.error(), maxErrorText)
	if p.tries.Since.IsZero() {
		p.tries.Since = time.Now().UTC()
	}
	is := outcomeOf(result, d.worker.config.Words())
	if is.mayBeTaken(result) {
		d.announce(subjects.EventScrobbleRerun, p, subjects.ScrobbleEvent{Error: p.tries.Error})
	}
	return d.conclude(writing, p, is, before)
}

// conclude does with a play what its outcome says.
func (d *delivery) conclude(writing context.Context, p *waitingPlay, is outcome, before time.Time) (goesOn bool, err error) {
	switch is {
	case done:
		return true, d.finish(writing, p, subjects.PlayDelivered)
	case final:
		return true, d.bury(writing, p, subjects.DeadRefused)
	case unauthorized:
		return d.pause(writing, p)
	case failedUnknown:
		if p.tries.Unknown++; p.tries.Unknown >= maxUnknown {
			return true, d.bury(writing, p, subjects.DeadFailed)
		}
		wait := d.queues.times.Unknown
		if p.tries.Unknown > 1 {
			wait *= laterUnknown
		}
		return d.wait(p, jitter(wait)), nil
	case crashed:
		if d.queues.index.deliveredToOthers(d.record.Plugin, d.lane.key, before) {
			p.tries.Crashes++
		}
		if p.tries.Crashes >= maxCrashes && !p.aside {
			return true, d.setAside(writing, p)
		}
	case retry:
	}
	return d.wait(p, 0), nil
}

// finish puts a mark in the place of a play that is done.
func (d *delivery) finish(ctx context.Context, p *waitingPlay, fate subjects.PlayFate) error {
	_, err := d.queues.mark(ctx, p.subject, p.sequence, fate, &p.PlayRecord)
	if err != nil && !errors.Is(err, jet.ErrMoved) { // there is a mark already
		return err
	}
	wasPaused := !d.view().Paused.IsZero()
	d.will(func(r *subjects.QueueRecord) {
		finish(r, p.from, p.sequence, fate)
		r.Failures, r.Wait = 0, time.Time{}
		if fate == subjects.PlayDelivered {
			r.Linked, r.Paused = true, time.Time{}
		}
	})
	if wasPaused && fate == subjects.PlayDelivered {
		d.announce(subjects.EventScrobbleResumed, nil, subjects.ScrobbleEvent{})
	}
	return nil
}

// bury makes a dead letter of a play.
func (d *delivery) bury(ctx context.Context, p *waitingPlay, reason subjects.DeadReason) error {
	err := d.queues.bury(ctx, subjects.PlayOf(p.subject), subjects.DeadRecord{
		PlayRecord: p.PlayRecord, Reason: reason, Error: p.tries.Error, Attempts: p.tries.Attempts,
	})
	if err != nil {
		return err
	}
	return d.finish(ctx, p, subjects.PlayDead)
}

// wait has a play tried again after a time, or after a back-off if that is 0. It returns whether the next one can follow: only
// behind one that was set aside.
func (d *delivery) wait(p *waitingPlay, wait time.Duration) bool {
	tries := p.tries
	if p.aside {
		tries.Wait = time.Now().UTC().Add(jitter(d.queues.times.Longest))
		d.will(func(r *subjects.QueueRecord) {
			for i := range r.Aside {
				if r.Aside[i].Play == tries.Play {
					r.Aside[i] = tries
				}
			}
		})
		return true
	}
	if wait == 0 {
		wait = d.queues.times.backOff(d.view().Failures + 1)
	}
	until := time.Now().UTC().Add(wait)
	d.will(func(r *subjects.QueueRecord) {
		r.Head, r.Wait = &tries, until
		r.Failures++
	})
	return false
}

// setAside has plays behind one go on that has crashed the plugin again and again.
func (d *delivery) setAside(ctx context.Context, p *waitingPlay) error {
	if len(d.view().Aside) >= maxAside {
		p.tries.Error = excerpt.Cut(fmt.Sprintf("as many plays are set aside as may be, and this one fails as well: %s", p.tries.Error), maxErrorText)
		return d.bury(ctx, p, subjects.DeadFailed)
	}
	tries := p.tries
	tries.Wait = time.Now().UTC().Add(jitter(d.queues.times.Longest))
	d.will(func(r *subjects.QueueRecord) {
		r.Aside = append(r.Aside, tries)
		pass(r, p.from, p.sequence)
		r.Failures, r.Wait = 0, time.Time{}
	})
	d.announce(subjects.EventScrobbleAside, p, subjects.ScrobbleEvent{Error: tries.Error})
	return nil
}

// ask asks whether the plugin is authorised for the user, unless it has said so of late.
func (d *delivery) ask(running, writing context.Context, p *waitingPlay, user User) (linked, goesOn bool, err error) {
	if d.worker.isLinked(d.lane) {
		return true, true, nil
	}
	asked := d.worker.config.Plugin.IsAuthorized(running, user)
	switch {
	case asked.error() != "":
		if running.Err() == nil {
			p.tries.Error = excerpt.Cut("is_authorized: "+asked.error(), maxErrorText)
			if is := outcomeOf(asked, d.worker.config.Words()); is == unauthorized {
				goesOn, err = d.pause(writing, p)
				return false, goesOn, err
			}
			return false, d.wait(p, 0), nil
		}
		return false, false, nil
	case !asked.Authorized:
		goesOn, err = d.pause(writing, p)
		return false, goesOn, err
	}
	d.worker.setLinked(d.lane, time.Now().Add(d.queues.times.Linked))
	if view := d.view(); !view.Linked || !view.Paused.IsZero() {
		if !view.Paused.IsZero() {
			d.announce(subjects.EventScrobbleResumed, nil, subjects.ScrobbleEvent{})
		}
		d.will(func(r *subjects.QueueRecord) { r.Linked, r.Paused = true, time.Time{} })
	}
	return true, true, nil
}

// pause has the queue wait until the plugin is authorised for its user.
func (d *delivery) pause(ctx context.Context, p *waitingPlay) (goesOn bool, err error) {
	d.worker.setLinked(d.lane, time.Time{})
	view, now := d.view(), time.Now().UTC()
	until := now.Add(d.queues.times.backOff(view.Failures + 1))
	d.will(func(r *subjects.QueueRecord) {
		if r.Paused.IsZero() {
			r.Paused = now
		}
		r.Failures++
		r.Wait = until
	})
	if view.Paused.IsZero() {
		d.announce(subjects.EventScrobblePaused, nil, subjects.ScrobbleEvent{Error: p.tries.Error})
	}
	if !view.Linked {
		return false, d.skip(ctx)
	}
	return false, nil
}

// skip skips plays of a user for whom the plugin has never been authorised: those that have waited for long, and the
// oldest if there are more than may be.
func (d *delivery) skip(ctx context.Context) error {
	limits := d.queues.config.Limits()
	for range maxSkipped {
		view := d.view()
		p, err := d.findNext(ctx, view)
		if err != nil || p == nil {
			return err
		}
		isOld := time.Since(p.Accepted) > limits.Unlinked
		if !isOld && view.Waiting() <= uint64(limits.MaxUnlinked) {
			d.will(func(r *subjects.QueueRecord) { r.Oldest = p.Accepted })
			return nil
		}
		if _, err := d.queues.mark(ctx, p.subject, p.sequence, subjects.PlaySkipped, &p.PlayRecord); err != nil && !errors.Is(err, jet.ErrMoved) {
			return err
		}
		d.will(func(r *subjects.QueueRecord) { finish(r, p.from, p.sequence, subjects.PlaySkipped) })
	}
	return nil
}
