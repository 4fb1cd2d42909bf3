package scrobble

import (
	"context"
	"errors"
	"time"

	"github.com/pluginhost/pluginhost/sdk/jet"
	"github.com/pluginhost/pluginhost/subjects"
)

// maxQueues is how many queues there may be, of all plugins and users together: every replica knows of each. Plays for
// another one become dead letters.
const maxQueues = 200_000

// moved is what became of plays that were moved to one queue.
type moved struct {
	number      uint64    // of the newest play
	first, last uint64    // the sequences of the first and the last play that lies there; 0 is none
	accepted    time.Time // when the first was
	name, id    string    // of the user, as the newest play has it
}

// lies notes a play that lies in the queue.
func (to *moved) lies(sequence uint64, accepted time.Time) {
	if to.first == 0 || sequence < to.first {
		to.first, to.accepted = sequence, accepted
	}
	to.last = max(to.last, sequence)
}

// move puts plays into a queue, in their order, and then into its record that they are there. One that is there already, or was,
// is a double and stays out. It returns those that must stay where they are as the plugin's queues are full, which
// full says of the beginning.
func (q *Queues) move(ctx context.Context, m *move, full bool) (stays []*moving, err error) {
	if full {
		return m.plays, nil
	}
	key := subjects.QueueKey(m.id, m.user)
	record, revision := q.index.queue(key)
	limits := q.config.Limits()
	room := uint64(limits.MaxQueue) - min(q.index.waiting(m.id), uint64(limits.MaxQueue))
	ofUser := uint64(limits.MaxUser) - min(record.Waiting(), uint64(limits.MaxUser))
	to := moved{number: record.Routed}
	if revision == 0 && q.index.count() >= maxQueues {
		ofUser = 0
	}
	for i, p := range m.plays {
		came := to.number - record.Routed
		if came >= room {
			stays = m.plays[i:]
			break
		}
		if came >= ofUser {
			err = q.moveOver(ctx, m, p, &to)
		} else {
			err = q.moveOne(ctx, m, p, &to)
		}
		if err != nil {
			return nil, err
		}
	}
	if to.last == 0 && to.number == record.Routed {
		return stays, nil
	}
	return stays, q.arrived(ctx, key, m, record, revision, to)
}

// moveOver makes a dead letter of a play for which its user has no room. A double needs none.
func (q *Queues) moveOver(ctx context.Context, m *move, p *moving, to *moved) error {
	there, err := q.streams.newest(ctx, q.streams.plays, subjects.Play(m.id, m.user, p.id))
	switch {
	case err != nil:
		return err
	case there == nil || p.again:
		return q.tooMany(ctx, m, p)
	default:
		return q.moveOne(ctx, m, p, to)
	}
}

// moveOne puts one play into a queue.
func (q *Queues) moveOne(ctx context.Context, m *move, p *moving, to *moved) error {
	to.name, to.id = p.user.Name, p.user.ID
	subject := subjects.Play(m.id, m.user, p.id)
	record := subjects.PlayRecord{
		V: subjects.Version, Plugin: m.id, User: m.user, Accepted: p.accepted, Number: to.number + 1, Request: p.request,
	}
	if m.id == "" {
		record.To = p.to
	}
	sequence, err := q.streams.put(ctx, subjects.PlayStream, subject, record, 0, 0)
	if err == nil {
		to.number++
		to.lies(sequence, p.accepted)
		return nil
	}
	if !errors.Is(err, jet.ErrMoved) {
		return err
	}
	is, err := q.streams.newest(ctx, q.streams.plays, subject)
	if err != nil || is == nil {
		return err
	}
	there, err := is.read()
	if err != nil {
		return nil //nolint:nilerr // nobody can read it: it does not keep others from their queues
	}
	if p.again && there.Became == subjects.PlayDead {
		if sequence, err = q.streams.put(ctx, subjects.PlayStream, subject, record, is.sequence, 0); err == nil {
			to.number++
			to.lies(sequence, p.accepted)
		}
		return err
	}
	// A double, or what an attempt before has written whose end nobody knows.
	to.number = max(to.number, there.Number)
	if there.isWaiting() {
		to.lies(is.sequence, there.Accepted)
	}
	return nil
}

// arrived puts into the record of a queue that plays have come.
func (q *Queues) arrived(ctx context.Context, key string, m *move, record subjects.QueueRecord, revision uint64, to moved) error {
	for {
		if !to.into(&record) {
			return nil
		}
		record.V, record.Plugin, record.User = subjects.Version, m.id, m.user
		written, err := q.records.Update(ctx, key, record, revision)
		if err == nil {
			q.index.wrote(key, record, written)
			return nil
		}
		// Somebody was faster, or nobody knows what became of it: the record tells.
		record = subjects.QueueRecord{}
		if revision, err = q.records.Get(ctx, key, &record); err != nil && !errors.Is(err, jet.ErrNoRecord) && !jet.IsUnreadable(err) {
			return err
		}
		if jet.Pause(ctx, 0) != nil {
			return context.Cause(ctx)
		}
	}
}

// into puts what has come into a record, and says whether that has changed it.
func (to *moved) into(record *subjects.QueueRecord) bool {
	before := clone(*record)
	if to.first != 0 {
		switch {
		case record.Last == 0: // there was no record, or it was lost with what is known of plays before
			record.From = 1
		case record.Last < record.From: // it was empty
			record.From = to.first
		}
		record.From = min(record.From, to.first)
		record.Last = max(record.Last, to.last)
		if record.Oldest.IsZero() || to.accepted.Before(record.Oldest) {
			record.Oldest = to.accepted
		}
	}
	record.Routed = max(record.Routed, to.number)
	if to.name != "" {
		record.Name = to.name
	}
	if to.id != "" {
		record.UserID = to.id
	}
	return record.Routed != before.Routed || record.From != before.From || record.Last != before.Last ||
		record.Name != before.Name || record.UserID != before.UserID
}

// tooMany makes a dead letter of a play as many of its user wait as may, or there are as many queues as may be.
func (q *Queues) tooMany(ctx context.Context, m *move, p *moving) error {
	dead := subjects.DeadRecord{
		PlayRecord: subjects.PlayRecord{Plugin: m.id, User: m.user, Accepted: p.accepted, Request: p.request},
		Reason:     subjects.DeadTooMany,
	}
	if m.id == "" {
		dead.To = p.to
	}
	return q.bury(ctx, p.id, dead)
}

// mark puts a mark in the place of a play that waits no more. jet.ErrMoved is that somebody else has.
func (q *Queues) mark(ctx context.Context, subject string, sequence uint64, became subjects.PlayFate, p *subjects.PlayRecord) (uint64, error) {
	left := time.Until(p.Accepted.Add(q.config.Limits().MaxAge))
	return q.streams.put(ctx, subjects.PlayStream, subject, subjects.PlayMark{V: subjects.Version, Became: became, Number: p.Number}, sequence, max(left, time.Second))
}
