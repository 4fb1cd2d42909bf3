package schedule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/bus/workqueue"
	"github.com/pluginhost/pluginhost/sdk/jet"
	"github.com/pluginhost/pluginhost/subjects"
)

// ErrQueued says that the fire before has not run yet, so that there is no
// place for another.
var ErrQueued = errors.New("the fire before is still queued")

// ensureFires makes the stream of fires if it is missing. One that was made
// otherwise is ErrForeign.
func (s *Schedules) ensureFires(ctx context.Context) error {
	stream, err := s.handle.EnsureStream(ctx, jetstream.StreamConfig{
		Name:                 subjects.FireStream,
		Subjects:             []string{subjects.FireSubjects},
		Retention:            jetstream.WorkQueuePolicy,
		Discard:              jetstream.DiscardNew,
		DiscardNewPerSubject: true,
		MaxMsgsPerSubject:    1,
		Replicas:             s.handle.Copies(),
		Storage:              s.handle.Storage(),
	})
	if err != nil {
		return fmt.Errorf("stream %s: %w", subjects.FireStream, err)
	}
	if c := stream.CachedInfo().Config; c.Retention != jetstream.WorkQueuePolicy || !c.DiscardNewPerSubject || c.MaxMsgsPerSubject != 1 {
		return fmt.Errorf("%w: %s needs to be a work queue with one message for a subject, discarding new ones: remove it (nats stream rm %s), and it is made anew",
			jet.ErrForeign, subjects.FireStream, subjects.FireStream)
	}
	return nil
}

// fires returns the consumer from which all replicas pull the fires of a plugin,
// made if it is missing.
func (s *Schedules) fires(ctx context.Context, id string) (jetstream.Consumer, error) {
	if err := s.ensureFires(ctx); err != nil {
		return nil, err
	}
	name, err := s.fireConsumer(ctx, id)
	if err != nil {
		return nil, err
	}
	config := jetstream.ConsumerConfig{
		Durable:       name,
		Description:   "fires of plugin " + subjects.Token(id),
		FilterSubject: subjects.Fires(id),
		AckPolicy:     jetstream.AckExplicitPolicy,
		// Who holds a fire says so more often than that.
		AckWait:       workqueue.AckWait,
		MaxAckPending: maxFiresHeld,
	}
	consumer, err := jet.Prepare(ctx, s.handle, func(ctx context.Context) (jetstream.Consumer, error) {
		return s.handle.JetStream().CreateOrUpdateConsumer(ctx, subjects.FireStream, config)
	})
	if err != nil {
		return nil, fmt.Errorf("consumer %s of %s: %w", name, subjects.FireStream, err)
	}
	return consumer, nil
}

// fireConsumer is the name of the consumer of a plugin's fires. One of its former name goes on,
// as replicas of a former version pull from it: the stream allows no two for the same fires.
// Where another plugin has the former name, it is not used.
func (s *Schedules) fireConsumer(ctx context.Context, id string) (string, error) {
	name, former := subjects.FireConsumer(id), subjects.FormerFireConsumer(id)
	if former == name {
		return name, nil
	}
	consumer, err := jet.Prepare(ctx, s.handle, func(ctx context.Context) (jetstream.Consumer, error) {
		return s.handle.JetStream().Consumer(ctx, subjects.FireStream, former)
	})
	switch {
	case errors.Is(err, jetstream.ErrConsumerNotFound):
		return name, nil
	case err != nil:
		return "", fmt.Errorf("consumer %s of %s: %w", former, subjects.FireStream, err)
	case consumer.CachedInfo().Config.FilterSubject != subjects.Fires(id):
		return name, nil
	default:
		return former, nil
	}
}

// maxFiresHeld is how many fires of a plugin all replicas together hold.
const maxFiresHeld = 10_000

// dropFires removes the consumer and the fires of a plugin.
func (s *Schedules) dropFires(ctx context.Context, id string) error {
	if err := s.deleteFireConsumer(ctx, id); err != nil {
		return err
	}
	stream, err := s.handle.JetStream().Stream(ctx, subjects.FireStream)
	if err == nil {
		err = stream.Purge(ctx, jetstream.WithPurgeSubject(subjects.Fires(id)))
	}
	if err != nil {
		return fmt.Errorf("stream %s: %w", subjects.FireStream, err)
	}
	return nil
}

// deleteFireConsumer removes the consumer of a plugin's fires. None is no error.
func (s *Schedules) deleteFireConsumer(ctx context.Context, id string) error {
	name, err := s.fireConsumer(ctx, id)
	if err != nil {
		return err
	}
	err = s.handle.JetStream().DeleteConsumer(ctx, subjects.FireStream, name)
	if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return fmt.Errorf("consumer %s of %s: %w", name, subjects.FireStream, err)
	}
	return nil
}

// Fire publishes a fire of a schedule, by its key, and returns once that is safe.
// It is ErrFireQueued while another is there; after any other error nobody knows
// whether it is. It tries once.
func (s *Schedules) Fire(ctx context.Context, key string, fire subjects.FireMessage) error {
	fire.V = subjects.Version
	body, err := json.Marshal(fire)
	if err != nil {
		return err
	}
	if !s.handle.Connected() {
		return errors.New("fire: no connection to NATS")
	}
	ctx, cancel := context.WithTimeout(ctx, jet.AttemptTimeout)
	defer cancel()
	begun := time.Now()
	_, err = s.handle.JetStream().Publish(ctx, subjects.Fire(key), body, jetstream.WithRetryAttempts(0))
	s.handle.Writes().Note(subjects.FireStream, begun, err)
	var refused *jetstream.APIError
	if errors.As(err, &refused) && refused.ErrorCode == jet.CodeSubjectFull {
		return ErrQueued
	}
	if err != nil {
		return fmt.Errorf("fire: %w", err)
	}
	return nil
}
