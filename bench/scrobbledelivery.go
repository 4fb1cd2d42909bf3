package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/config"
	"github.com/pluginhost/pluginhost/sdk/jet"
	"github.com/pluginhost/pluginhost/subjects"
)

const (
	// pluginTaker takes every play.
	pluginTaker = "taker"
	// underWay is how many plays are accepted and not delivered yet while deliveries are measured.
	underWay = 2048
)

// playRate and playRateRatio are about plays rather than calls.
var (
	playRate      = quantity{key: "plays_per_s", title: "plays/s", format: count, of: rateOf}
	playRateRatio = quantity{key: "plays_per_s_ratio", title: "plays/s × ", format: ratio, against: rateRatio.against}
)

// deliverySection measures how many plays come to a plugin.
func deliverySection() section {
	return section{
		name: "scrobble-delivery", title: "Plays that are delivered, from the publish to the mark, by a bare loop that publishes, reads and replaces by a mark", baseline: "bare",
		shows: []quantity{playRate, playRateRatio, cpu, cpuAdded},
		run:   measureDelivered,
	}
}

func measureDelivered(ctx context.Context, b *bench) (_ []*row, err error) {
	s, err := b.openScrobbles(ctx, "delivery", map[string][]byte{pluginTaker: takesAll()})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close(context.WithoutCancel(ctx))) }()
	bare, err := s.bareStream(ctx, subjects.PlayStream, "BAREPLAYS", "bareplays.>")
	if err != nil {
		return nil, err
	}
	together := config.Default().Runtime.Callbacks()
	var rows []*row
	for _, users := range []int{1, manyCallers} {
		loops, of := min(users, together), fmt.Sprintf("%d users", users)
		if users == 1 {
			of = "1 user"
		}
		against := &row{name: "bare loops, " + of, callers: loops, take: calls(loops, s.deliverBare(bare, users))}
		rows = append(rows, against, &row{name: "delivered, " + of, against: against, take: s.deliver(users)})
	}
	if err := b.measure(ctx, rows, 7, time.Second); err != nil {
		return nil, err
	}
	if b.plan.profiles != "" {
		err = profileRows(ctx, rows, b.plan)
	}
	return rows, err
}

// deliver has plays of users published and counts those that have their marks, with so many under way all the time
// but at the end.
func (s *scrobbles) deliver(users int) source {
	return func(ctx context.Context, length time.Duration) (sample, error) {
		runtime.GC() // what the row before has left behind is not this row's
		info, err := s.plays.Info(ctx)
		if err != nil {
			return sample{}, err
		}
		first, published := info.State.LastSeq, uint64(0)
		cpu, err := processCPU()
		if err != nil {
			return sample{}, err
		}
		begin := time.Now()
		err = await(ctx, "deliveries", func() (uint64, bool, error) {
			info, err := s.plays.Info(ctx)
			if err != nil {
				return 0, false, err
			}
			marked := (info.State.LastSeq - first) / 2 // a play in the queue is one message, and its mark another
			if time.Since(begin) >= length && published > 0 {
				return info.State.LastSeq, info.State.LastSeq-first >= 2*published, nil
			}
			for ; published < marked+underWay; published++ {
				if err := s.publish(userName(int(published) % users)); err != nil {
					return 0, false, err
				}
			}
			return info.State.LastSeq, false, nil
		})
		if err != nil {
			return sample{}, err
		}
		elapsed := time.Since(begin)
		after, err := processCPU()
		return sample{calls: int(published), elapsed: elapsed, cpu: after - cpu}, err
	}
}

// publish publishes a play for all plugins, and does not wait: a failure is one of those that wait for its delivery.
func (s *scrobbles) publish(user string) error {
	body, err := s.next(user).MarshalVT()
	if err != nil {
		return err
	}
	if _, err := s.streams[0].PublishAsync(subjects.ScrobbleAll, body, jetstream.WithStallWait(replyTimeout)); err != nil {
		return fmt.Errorf("publish a play: %w", err)
	}
	return nil
}

// deliverBare is what a delivery needs of JetStream, with nothing of ours around it: a play is published, read, and replaced by
// its mark.
func (s *scrobbles) deliverBare(stream jetstream.Stream, users int) call {
	return func(ctx context.Context, _ int) error {
		play := s.played.Add(1)
		subject := "bareplays." + userName(int(play)%users) + "." + strconv.FormatInt(play, 10)
		record, err := playMessage(subject, userName(int(play)%users), play)
		if err != nil {
			return err
		}
		js := s.streams[0] // as a replica has one connection for it
		ack, err := js.PublishMsg(ctx, record, jetstream.WithExpectLastSequencePerSubject(0))
		if err != nil {
			return fmt.Errorf("bare play: %w", err)
		}
		if _, err := stream.GetMsg(ctx, ack.Sequence, jetstream.WithGetMsgSubject(subject)); err != nil {
			return fmt.Errorf("bare play: %w", err)
		}
		mark, err := markMessage(subject, play)
		if err != nil {
			return err
		}
		if _, err := js.PublishMsg(ctx, mark, jetstream.WithExpectLastSequencePerSubject(ack.Sequence)); err != nil {
			return fmt.Errorf("bare mark: %w", err)
		}
		return nil
	}
}

// playMessage is a play in a queue.
func playMessage(subject, user string, n int64) (*nats.Msg, error) {
	request, err := playOf(user, n).MarshalVT()
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(subjects.PlayRecord{
		V: subjects.Version, Plugin: pluginTaker, User: subjects.UserKey(user, ""), Accepted: time.Now().UTC(), Number: uint64(n), Request: request,
	})
	return &nats.Msg{Subject: subject, Data: body, Header: nats.Header{}}, err
}

// markMessage is the mark of one that is done.
func markMessage(subject string, n int64) (*nats.Msg, error) {
	body, err := json.Marshal(subjects.PlayMark{V: subjects.Version, Became: subjects.PlayDelivered, Number: uint64(n)})
	mark := &nats.Msg{Subject: subject, Data: body, Header: nats.Header{}}
	jet.RollUp(mark)
	mark.Header.Set(jetstream.MsgTTLHeader, strconv.Itoa(int(config.Default().Scrobbles.MaxAge.Seconds())))
	return mark, err
}
