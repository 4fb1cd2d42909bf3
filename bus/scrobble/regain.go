package scrobble

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/sdk/jet"
	"github.com/pluginhost/pluginhost/subjects"
)

// span is where the plays of a queue lie.
type span struct {
	subjects    string // of all of them
	first, last uint64
	plays       uint64
}

// regain puts queues back into their records that lie in the stream of plays and in no record, or only in part: the bucket
// was lost, or came back older than it was. It reads the headers of all plays.
func (q *Queues) regain(ctx context.Context) error {
	spans, err := q.streams.spans(ctx)
	if err != nil {
		return err
	}
	for key, s := range spans {
		if record, revision := q.index.queue(key); revision != 0 && s.isIn(&record) {
			continue
		}
		if err := q.regainOne(ctx, key, s); err != nil {
			return err
		}
	}
	return nil
}

// isIn says whether the record of a queue has all its plays.
func (s *span) isIn(record *subjects.QueueRecord) bool {
	return record.Last >= s.last && (record.From <= s.first || len(record.Aside) > 0)
}

// spans reads where the plays that wait lie, by the keys of their queues. A message with a time to live is a mark.
func (s *streams) spans(ctx context.Context) (_ map[string]*span, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("stream %s: %w", subjects.PlayStream, err)
		}
	}()
	spans := make(map[string]*span)
	info, err := s.plays.Info(ctx)
	if err != nil || info.State.Msgs == 0 {
		return spans, err
	}
	consumer, err := s.plays.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{HeadersOnly: true})
	if err != nil {
		return nil, err
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(maxBatch))
	if err != nil {
		return nil, err
	}
	defer func() { // the server would keep it for minutes
		messages.Stop()
		err = errors.Join(err, s.forget(ctx, consumer.CachedInfo().Name))
	}()
	for {
		waiting, end := context.WithTimeout(ctx, jet.RecordTimeout)
		msg, err := messages.Next(jetstream.NextContext(waiting))
		end()
		if err != nil {
			return nil, err
		}
		meta, err := msg.Metadata()
		if err != nil {
			return nil, err
		}
		if msg.Headers().Get(jetstream.MsgTTLHeader) == "" {
			note(spans, msg.Subject(), meta.Sequence.Stream)
		}
		if meta.NumPending == 0 || meta.Sequence.Stream >= info.State.LastSeq {
			return spans, nil
		}
	}
}

// forget removes a consumer of the stream of plays.
func (s *streams) forget(ctx context.Context, consumer string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), jet.AttemptTimeout)
	defer cancel()
	if err := s.plays.DeleteConsumer(ctx, consumer); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return err
	}
	return nil
}

// note notes a play. The tokens of its queue are the key of that.
func note(spans map[string]*span, subject string, sequence uint64) {
	queue := strings.TrimSuffix(subject, "."+subjects.PlayOf(subject))
	_, tokens, _ := strings.Cut(queue, ".")
	s := spans[subjects.QueueKeys+tokens]
	if s == nil {
		s = &span{subjects: queue + ".*", first: sequence}
		spans[subjects.QueueKeys+tokens] = s
	}
	s.last = sequence
	s.plays++
}

// regainOne has the record of a queue have all its plays.
func (q *Queues) regainOne(ctx context.Context, key string, s *span) error {
	for {
		var record subjects.QueueRecord
		revision, err := q.records.Get(ctx, key, &record)
		switch {
		case errors.Is(err, jet.ErrNoRecord), jet.IsUnreadable(err):
			is, err := q.regained(ctx, s)
			if is == nil {
				return err
			}
			record = *is
		case err != nil:
			return err
		case s.isIn(&record):
			return nil
		case !s.isWaiting(ctx, q) && record.Last >= s.last:
			return nil
		default:
			record.From, record.Last = min(record.From, s.first), max(record.Last, s.last)
		}
		written, err := q.records.Update(ctx, key, record, revision)
		if err == nil {
			q.index.wrote(key, record, written)
			q.handle.Logger().Warn("plays were found that the record of their queue had lost", "plugin", record.Plugin, "plays", s.plays)
			return nil
		}
		if err := jet.Pause(ctx, jet.RetryPause); err != nil {
			return err
		}
	}
}

// isWaiting says whether the first play of a queue still waits: others work on them meanwhile.
func (s *span) isWaiting(ctx context.Context, q *Queues) bool {
	msg, err := q.streams.first(ctx, q.streams.plays, s.subjects, s.first)
	return err != nil || msg != nil && msg.sequence == s.first
}

// regained is a record of a queue without one, nil if its plays are gone by now.
func (q *Queues) regained(ctx context.Context, s *span) (*subjects.QueueRecord, error) {
	msg, err := q.streams.first(ctx, q.streams.plays, s.subjects, s.first)
	if err != nil || msg == nil {
		return nil, err
	}
	first, err := msg.read()
	if err != nil || !first.isWaiting() {
		return nil, nil //nolint:nilerr // nobody can read it
	}
	record := &subjects.QueueRecord{
		V: subjects.Version, Plugin: first.Plugin, User: first.User, From: s.first, Last: s.last,
		Routed: first.Number - 1 + s.plays, Done: first.Number - 1, Oldest: first.Accepted,
	}
	if p, err := readPlay(nil, first.Request); err == nil {
		record.Name, record.UserID = p.user.Name, p.user.ID
	}
	return record, nil
}
