package scrobble

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/sdk/jet"
	"github.com/pluginhost/pluginhost/subjects"
)

// stored is a message of one of the streams.
type stored struct {
	subject  string
	sequence uint64
	data     []byte
}

// put writes a record to a subject if the newest there has a sequence; 0 is that there is none. It tries again while
// nobody answers. jet.ErrMoved is that there is something else, which may be what an attempt without an answer has
// written. A time to live of 0 is for ever.
func (s *streams) put(ctx context.Context, stream, subject string, record any, after uint64, ttl time.Duration) (sequence uint64, err error) {
	body, err := json.Marshal(record)
	if err != nil {
		return 0, err
	}
	msg := nats.NewMsg(subject)
	msg.Data = body
	if after != 0 && stream == subjects.PlayStream { // dead letters are removed by who has them tried again
		jet.RollUp(msg)
	}
	if ttl > 0 {
		msg.Header.Set(jetstream.MsgTTLHeader, strconv.Itoa(max(int(ttl.Seconds()), 1)))
	}
	err = s.insist(ctx, func(ctx context.Context) error {
		begun := time.Now()
		sequence, err = s.handle.Replace(ctx, msg, after)
		s.handle.Writes().Note(stream, begun, err)
		return err
	})
	return sequence, err
}

// insist carries out an operation, again while nobody answers, for a while: a stream may be gone, and the router makes it anew.
func (s *streams) insist(ctx context.Context, operation func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, jet.RecordTimeout)
	defer cancel()
	return s.handle.Insist(ctx, func() {}, func() error {
		ctx, cancel := context.WithTimeout(ctx, jet.AttemptTimeout)
		defer cancel()
		return operation(ctx)
	}, context.DeadlineExceeded, nats.ErrTimeout)
}

// first reads the first message of a stream from a sequence on that matches a subject; nil is that there is none.
func (s *streams) first(ctx context.Context, stream jetstream.Stream, subject string, from uint64) (*stored, error) {
	var found *stored
	err := s.insist(ctx, func(ctx context.Context) error {
		found = nil
		begun := time.Now()
		msg, err := stream.GetMsg(ctx, max(from, 1), jetstream.WithGetMsgSubject(subject))
		s.handle.Writes().NoteRead(stream.CachedInfo().Config.Name, begun, err)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return nil
		}
		if err == nil {
			found = &stored{msg.Subject, msg.Sequence, msg.Data}
		}
		return err
	})
	return found, err
}

// newest reads the newest message of a subject; nil is that there is none.
func (s *streams) newest(ctx context.Context, stream jetstream.Stream, subject string) (*stored, error) {
	var found *stored
	err := s.insist(ctx, func(ctx context.Context) error {
		found = nil
		msg, err := stream.GetLastMsgForSubject(ctx, subject)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return nil
		}
		if err == nil {
			found = &stored{msg.Subject, msg.Sequence, msg.Data}
		}
		return err
	})
	return found, err
}

// inQueue is what PlayStream has on the subject of a play: the play, or the mark of one that is done.
type inQueue struct {
	subjects.PlayRecord
	Became subjects.PlayFate `json:"became"`
}

// isWaiting says whether it is a play that waits.
func (p *inQueue) isWaiting() bool { return p.Became == "" }

// read reads what a message of PlayStream has.
func (m *stored) read() (*inQueue, error) {
	var p inQueue
	if err := json.Unmarshal(m.data, &p); err != nil {
		return nil, fmt.Errorf("play %s: %w", m.subject, err)
	}
	return &p, nil
}

// bury makes a dead letter. Where there are as many as may be, the oldest go, which is announced.
func (q *Queues) bury(ctx context.Context, play string, dead subjects.DeadRecord) error {
	dead.V, dead.Died = subjects.Version, time.Now().UTC()
	subject := subjects.DeadPlay(dead.Plugin, dead.User, play)
	after := uint64(0)
	for {
		_, err := q.streams.put(ctx, subjects.DeadStream, subject, dead, after, 0)
		if errors.Is(err, jet.ErrMoved) {
			var lies bool
			if lies, after, err = q.lies(ctx, subject, &dead); err == nil && !lies {
				continue
			}
		}
		if err == nil {
			q.announce(subjects.EventScrobbleDead, subjects.ScrobbleEvent{ID: dead.Plugin, User: dead.User, Play: play, Reason: dead.Reason, Error: dead.Error})
			return nil
		}
		if dropped, failed := q.makeRoom(ctx, err); failed != nil || !dropped {
			return errors.Join(err, failed)
		}
	}
}

// lies says whether a dead letter is there, since an attempt before, or one of a former life of the play, after which it
// goes: who has that one tried again is about to remove it.
func (q *Queues) lies(ctx context.Context, subject string, dead *subjects.DeadRecord) (lies bool, last uint64, err error) {
	there, err := q.streams.newest(ctx, q.streams.dead, subject)
	if err != nil || there == nil {
		return false, 0, err
	}
	var is subjects.DeadRecord
	if err := json.Unmarshal(there.data, &is); err != nil {
		return false, there.sequence, nil //nolint:nilerr // nobody can read it
	}
	return is.Accepted.Equal(dead.Accepted) && is.Number == dead.Number, there.sequence, nil
}

// makeRoom drops the oldest dead letter if a write was refused because there are as many as may be.
func (q *Queues) makeRoom(ctx context.Context, refused error) (dropped bool, err error) {
	if !jet.IsLimit(refused) || jet.IsFullStore(refused) {
		return false, nil
	}
	info, err := q.streams.dead.Info(ctx)
	if err != nil || info.State.Msgs < uint64(max(info.Config.MaxMsgs, 0)) { // the server has no room at all
		return false, err
	}
	return true, q.dropOldestDead(ctx)
}

// dropOldestDead drops the oldest dead letter, and says so.
func (q *Queues) dropOldestDead(ctx context.Context) error {
	oldest, err := q.streams.first(ctx, q.streams.dead, subjects.DeadSubjects, 0)
	if err != nil || oldest == nil {
		return err
	}
	var dead subjects.DeadRecord
	_ = json.Unmarshal(oldest.data, &dead)
	err = q.streams.dead.DeleteMsg(ctx, oldest.sequence)
	if err != nil && !errors.Is(err, jetstream.ErrMsgDeleteUnsuccessful) {
		return err
	}
	q.announce(subjects.EventScrobbleDropped, subjects.ScrobbleEvent{
		ID: dead.Plugin, User: dead.User, Play: subjects.PlayOf(oldest.subject), Reason: dead.Reason, Error: dead.Error,
	})
	return nil
}
