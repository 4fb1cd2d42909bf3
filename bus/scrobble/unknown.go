package scrobble

import (
	"context"
	"time"

	"github.com/pluginhost/pluginhost/sdk/jet"
	"github.com/pluginhost/pluginhost/subjects"
)

// routeKnown moves the plays of users who were unknown, and are known by now. Those that have waited for too long become dead
// letters.
func (r *Router) routeKnown(ctx context.Context) error {
	for key, record := range r.queues.index.queuesOf("") {
		user := r.queues.Complete(User{ID: record.UserID})
		if !hasNext(&record) || user.Name == "" && !r.queues.isTooOld(record.Oldest) {
			continue
		}
		if err := r.routeQueue(ctx, key, user); err != nil {
			return err
		}
	}
	return nil
}

// isTooOld says whether a play has waited for too long that was accepted at a time.
func (q *Queues) isTooOld(accepted time.Time) bool {
	return time.Since(accepted) > q.config.Limits().MaxAge
}

// routeQueue moves the plays of a user who was unknown, as long as their plugins have room.
func (r *Router) routeQueue(ctx context.Context, key string, user User) error {
	record, revision := r.queues.index.queue(key)
	left := (*inQueue)(nil)
	from := record.From
	for ; from <= record.Last && left == nil; from++ {
		msg, err := r.queues.streams.first(ctx, r.queues.streams.plays, subjects.Plays("", record.User), from)
		if err != nil {
			return err
		}
		if msg == nil {
			break
		}
		from = msg.sequence
		waiting, err := msg.read()
		switch {
		case err != nil:
			r.queues.handle.Logger().Warn("a play cannot be read", "error", err)
		case waiting.isWaiting():
			done, err := r.routeOne(ctx, msg, waiting, user)
			if err != nil {
				return err
			}
			if !done {
				left = waiting
				from-- // it is the next again
				break
			}
			record.Done++
		}
	}
	if left != nil {
		record.From, record.Oldest = from, left.Accepted
	} else {
		record.From, record.Oldest, record.Done = record.Last+1, time.Time{}, record.Routed
	}
	written, err := r.queues.records.Update(ctx, key, record, revision)
	if err == nil {
		r.queues.index.wrote(key, record, written)
	}
	return jet.IgnoreMoved(err)
}

// routeOne moves one play of a user who was unknown; false is that it cannot go anywhere yet.
func (r *Router) routeOne(ctx context.Context, msg *stored, waiting *inQueue, user User) (bool, error) {
	p, err := readPlay(nil, waiting.Request)
	if err != nil {
		return true, nil //nolint:nilerr // it was a play when it came; nobody can do anything with it
	}
	if user.Name == "" {
		return r.buryOld(ctx, msg, waiting)
	}
	p.user = user
	moves := r.plan([]published{{play: p, accepted: waiting.Accepted, to: waiting.To}})
	if len(moves) == 0 {
		return false, nil
	}
	for _, m := range moves {
		m.plays[0].of = nil
		if stays, err := r.queues.move(ctx, m, r.isFull(m.id)); err != nil || len(stays) > 0 {
			return false, err
		}
	}
	_, err = r.queues.mark(ctx, msg.subject, msg.sequence, subjects.PlayRouted, &waiting.PlayRecord)
	return true, jet.IgnoreMoved(err)
}

// buryOld makes a dead letter of a play whose user stayed unknown for too long; false is that it may wait.
func (r *Router) buryOld(ctx context.Context, msg *stored, waiting *inQueue) (bool, error) {
	if !r.queues.isTooOld(waiting.Accepted) {
		return false, nil
	}
	err := r.queues.bury(ctx, subjects.PlayOf(msg.subject), subjects.DeadRecord{
		PlayRecord: waiting.PlayRecord, Reason: subjects.DeadTooOld, Error: "nobody has told the name of its user",
	})
	if err == nil {
		_, err = r.queues.mark(ctx, msg.subject, msg.sequence, subjects.PlayDead, &waiting.PlayRecord)
	}
	return true, jet.IgnoreMoved(err)
}
