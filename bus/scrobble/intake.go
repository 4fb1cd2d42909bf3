package scrobble

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/subjects"
)

const (
	// maxBatch is how many plays of the intake are routed together.
	maxBatch = 256
	// readAhead is how many are read before that: of the longest plays these are 16 MB.
	readAhead = maxBatch
)

// published is something in the intake.
type published struct {
	sequence uint64
	accepted time.Time
	to       string // a plugin; empty is all
	body     []byte
	play     *play
	err      error // why it is no play
	again    bool  // it is to be tried though it was a dead letter
	stays    bool  // in the intake, for now
}

// intakeReader reads the intake from its beginning.
type intakeReader struct {
	streams  *streams
	messages chan published
	// broken is closed when nats.go reads on with another consumer, from the sequence after the last: an intake that was made
	// anew or came back older has begun before that.
	broken  chan struct{}
	consume jetstream.ConsumeContext
	last    uint64 // the newest that was routed
	idle    bool   // nothing was routed since the check before

	mu       sync.Mutex
	consumer string // the first
	isBroken bool
}

// read begins to read the intake. The caller stops the reader.
func (s *streams) read(ctx context.Context) (*intakeReader, error) {
	info, err := s.intake.Info(ctx)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", subjects.IntakeStream, err)
	}
	consumer, err := s.intake.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: max(info.State.FirstSeq, 1),
	})
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", subjects.IntakeStream, err)
	}
	r := &intakeReader{streams: s, messages: make(chan published, readAhead), broken: make(chan struct{})}
	r.consume, err = consumer.Consume(func(msg jetstream.Msg) {
		meta, err := msg.Metadata()
		if err != nil || !r.goesOn(meta.Consumer) {
			return
		}
		p := readPublished(msg, meta)
		select {
		case r.messages <- p:
		case <-ctx.Done():
		}
	}, jetstream.PullMaxMessages(maxBatch))
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", subjects.IntakeStream, err)
	}
	return r, nil
}

// goesOn says whether a message comes from the consumer that all before came from.
func (r *intakeReader) goesOn(consumer string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.consumer == "" {
		r.consumer = consumer
	}
	if r.consumer != consumer && !r.isBroken {
		r.isBroken = true
		close(r.broken)
	}
	return !r.isBroken
}

func readPublished(msg jetstream.Msg, meta *jetstream.MsgMetadata) published {
	p := published{sequence: meta.Sequence.Stream, accepted: meta.Timestamp.UTC(), body: msg.Data()}
	if p.to, p.err = subjects.ScrobbledTo(msg.Subject()); p.err == nil && len(p.to) > subjects.MaxID {
		p.to, p.err = "", fmt.Errorf("%w: the plugin's id has more than %d bytes", errNoPlay, subjects.MaxID)
	}
	p.again = msg.Headers().Get(subjects.HeaderRetryDead) != ""
	if p.err == nil {
		p.play, p.err = readPlay(msg.Headers(), msg.Data())
	}
	return p
}

// stop ends the reading, and waits for what reads.
func (r *intakeReader) stop() {
	r.consume.Stop()
	for {
		select {
		case <-r.messages:
		case <-r.consume.Closed():
			return
		}
	}
}

// batch is a play and those that have been read behind it.
func (r *intakeReader) batch(first published) []published {
	batch := []published{first}
	for len(batch) < maxBatch {
		select {
		case next := <-r.messages:
			batch = append(batch, next)
		default:
			return batch
		}
	}
	return batch
}

// routed notes how far plays were routed.
func (r *intakeReader) routed(batch []published) {
	r.last, r.idle = batch[len(batch)-1].sequence, false
}

// check compares what is in the intake with what was read. It is errAgain if something is there that will not be
// read: the intake came back older than it was, or a removal was lost. waits says that something stays on purpose.
func (r *intakeReader) check(ctx context.Context, waits bool) error {
	info, err := r.streams.intake.Info(ctx)
	if err != nil {
		return fmt.Errorf("stream %s: %w", subjects.IntakeStream, err)
	}
	state := info.State
	wasIdle := r.idle
	r.idle = len(r.messages) == 0
	isLeft := state.Msgs > 0 && !waits && state.FirstSeq <= r.last
	if wasIdle && r.idle && (isLeft || state.LastSeq < r.last || state.LastSeq > r.last && state.Msgs > 0) {
		return errAgain
	}
	return nil
}

// purgeIntake removes everything before a sequence.
func (s *streams) purgeIntake(ctx context.Context, before uint64) error {
	return s.insist(ctx, func(ctx context.Context) error { return s.intake.Purge(ctx, jetstream.WithPurgeSequence(before)) })
}

// deleteFromIntake removes one message, if it is still there.
func (s *streams) deleteFromIntake(ctx context.Context, sequence uint64) error {
	return s.insist(ctx, func(ctx context.Context) error {
		err := s.intake.DeleteMsg(ctx, sequence)
		var refused *jetstream.APIError
		if errors.As(err, &refused) {
			if _, there := s.intake.GetMsg(ctx, sequence); errors.Is(there, jetstream.ErrMsgNotFound) {
				return nil
			}
		}
		return err
	})
}
