package scrobble

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/sdk/jet"
	"github.com/pluginhost/pluginhost/subjects"
)

const (
	// deadAge is how long dead letters are kept.
	deadAge = 90 * 24 * time.Hour
	// minIntake is the least that the intake is made with, in bytes: servers that have little room do not give more.
	minIntake = 256 << 10
	// duplicateWindow is how long the server remembers message ids that publishers give: a double is told by what is
	// played, for much longer.
	duplicateWindow = 100 * time.Millisecond
)

// queueBucket is the bucket of queues.
const queueBucket jet.Bucket = subjects.QueueBucket

// streams are those of plays.
type streams struct {
	handle              *jet.Handle
	intake, plays, dead jetstream.Stream
}

// openStreams makes the streams if they are missing. One that was made otherwise is jet.ErrForeign.
func openStreams(ctx context.Context, handle *jet.Handle, limits Limits) (*streams, error) {
	s := &streams{handle: handle}
	var err error
	if s.intake, err = s.openIntake(ctx, limits.MaxIntake); err != nil {
		return nil, err
	}
	s.plays, err = s.open(ctx, jetstream.StreamConfig{
		Name: subjects.PlayStream, Subjects: []string{subjects.PlaySubjects},
		// A mark takes the place of its play, and goes with its time.
		AllowRollup: true, AllowMsgTTL: true,
	}, func(c jetstream.StreamConfig) bool { return c.AllowRollup && c.AllowMsgTTL })
	if err != nil {
		return nil, err
	}
	s.dead, err = s.open(ctx, jetstream.StreamConfig{
		Name: subjects.DeadStream, Subjects: []string{subjects.DeadSubjects},
		MaxMsgs: int64(limits.MaxDead), Discard: jetstream.DiscardNew, MaxAge: deadAge,
	}, func(c jetstream.StreamConfig) bool { return c.Discard == jetstream.DiscardNew && c.MaxMsgs > 0 })
	if err != nil {
		return nil, err
	}
	return s, nil
}

// openIntake makes the stream of what is published, and gives it room for so many bytes or, on servers that have too little
// for that, fewer: they reserve what a stream may have. What publishers may ask the server by headers, it does not allow.
func (s *streams) openIntake(ctx context.Context, most int64) (jetstream.Stream, error) {
	stream, err := s.open(ctx, jetstream.StreamConfig{
		Name: subjects.IntakeStream, Subjects: []string{subjects.ScrobbleAll, subjects.ScrobbleSubjects},
		Discard: jetstream.DiscardNew, MaxMsgSize: subjects.MaxPlay, MaxBytes: minIntake, Duplicates: duplicateWindow,
	}, func(c jetstream.StreamConfig) bool {
		return c.Discard == jetstream.DiscardNew && c.MaxBytes > 0 && c.MaxAge == 0 && !c.AllowRollup && !c.AllowMsgTTL
	})
	if err != nil {
		return nil, err
	}
	info := stream.CachedInfo()
	config := info.Config
	for want := max(most, int64(info.State.Bytes), minIntake); want != config.MaxBytes; want = max(want/2, minIntake) {
		config.MaxBytes = want
		resized, err := s.resize(ctx, config)
		if err == nil {
			stream = resized
			break
		}
		var refused *jetstream.APIError
		if !errors.As(err, &refused) {
			return nil, fmt.Errorf("stream %s: %w", config.Name, err)
		}
		if want <= info.Config.MaxBytes { // it has as much already
			break
		}
	}
	if has := stream.CachedInfo().Config.MaxBytes; has < most {
		s.handle.Logger().Warn("JetStream has no room for as many plays as [Scrobbles] MaxIntake allows", "stream", subjects.IntakeStream, "bytes", has, "want", most)
	}
	return stream, nil
}

// resize changes how much a stream may have.
func (s *streams) resize(ctx context.Context, config jetstream.StreamConfig) (jetstream.Stream, error) {
	return jet.Prepare(ctx, s.handle, func(ctx context.Context) (jetstream.Stream, error) {
		return s.handle.JetStream().UpdateStream(ctx, config)
	})
}

func (s *streams) open(ctx context.Context, config jetstream.StreamConfig, is func(jetstream.StreamConfig) bool) (jetstream.Stream, error) {
	config.Replicas, config.Storage = s.handle.Copies(), s.handle.Storage()
	stream, err := s.handle.EnsureStream(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", config.Name, err)
	}
	if !is(stream.CachedInfo().Config) {
		return nil, fmt.Errorf("%w: %s has settings under which plays could be lost: remove it (nats stream rm %s), and it is made anew, empty",
			jet.ErrForeign, config.Name, config.Name)
	}
	return stream, nil
}
