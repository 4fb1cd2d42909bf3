package schedule

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/subjects"
)

// maxOverlooked is how many fires of a plugin one look compares with its consumer.
const maxOverlooked = 256

// Overlooked is what tells that the server will never deliver fires of a plugin: the stream
// is older than the plugin's consumer.
type Overlooked struct {
	// Fires are sequences of the stream that the consumer counts as done, or as handed out
	// without waiting for that they are acknowledged. Where it waits for others, those may be
	// among them.
	Fires []uint64
	// AckFloor is the sequence up to which the consumer counts everything as done, and Last
	// the newest of the stream. Fires that get a sequence up to AckFloor go at once.
	AckFloor, Last uint64
}

// IsAny says whether there is a fire that is not delivered, or would be.
func (o Overlooked) IsAny() bool { return len(o.Fires) > 0 || o.AckFloor > o.Last }

// Overlooked looks for fires of a plugin that the server will never deliver, as after a crash
// from which the stream came back older than its consumer. before is what the look before
// has found, nil for the first: a fire that was just acknowledged can be in the stream for a
// moment, so only what is still there counts. A plugin without a consumer has none.
func (s *Schedules) Overlooked(ctx context.Context, id string, before []uint64) (found Overlooked, err error) {
	// The consumer is asked first: what is acknowledged meanwhile is missing in the stream.
	name, err := s.fireConsumer(ctx, id)
	if err != nil {
		return found, err
	}
	consumer, err := s.handle.JetStream().Consumer(ctx, subjects.FireStream, name)
	switch {
	case errors.Is(err, jetstream.ErrConsumerNotFound):
		return found, nil
	case err != nil:
		return found, fmt.Errorf("consumer %s of %s: %w", name, subjects.FireStream, err)
	}
	stream, err := s.handle.JetStream().Stream(ctx, subjects.FireStream)
	if err != nil {
		return found, fmt.Errorf("stream %s: %w", subjects.FireStream, err)
	}
	info := consumer.CachedInfo()
	delivered, err := firesUpTo(ctx, stream, id, info.Delivered.Stream)
	if err != nil {
		return found, fmt.Errorf("stream %s: %w", subjects.FireStream, err)
	}
	if before != nil {
		delivered = slices.DeleteFunc(delivered, func(sequence uint64) bool { return !slices.Contains(before, sequence) })
	}
	found.AckFloor, found.Last = info.AckFloor.Stream, stream.CachedInfo().State.LastSeq
	done, _ := slices.BinarySearch(delivered, found.AckFloor+1)
	switch {
	case done > 0:
		found.Fires = delivered[:done]
	case len(delivered) > info.NumAckPending:
		found.Fires = delivered
	}
	return found, nil
}

// firesUpTo are the sequences of a plugin's fires up to one, the first maxOverlooked of them.
func firesUpTo(ctx context.Context, stream jetstream.Stream, id string, last uint64) (sequences []uint64, err error) {
	for next := uint64(1); next <= last && len(sequences) < maxOverlooked; {
		msg, err := stream.GetMsg(ctx, next, jetstream.WithGetMsgSubject(subjects.Fires(id)))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			break
		}
		if err != nil {
			return nil, err
		}
		if msg.Sequence <= last {
			sequences = append(sequences, msg.Sequence)
		}
		next = msg.Sequence + 1
	}
	return sequences, nil
}

// Redeliver has the server hand out anew all fires of a plugin that are in the stream: the
// consumer is removed and made again, which begins with the first. A fire that a replica
// works on comes twice, and its claim tells.
func (s *Schedules) Redeliver(ctx context.Context, id string) error {
	err := s.deleteFireConsumer(ctx, id)
	if err == nil {
		_, err = s.fires(ctx, id) // or a replica that pulls has made it by then
	}
	return err
}
