package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/jet"
	"github.com/pluginhost/pluginhost/subjects"
)

// Scrobbles is the durable queue of plays. Where a direct call, [Scrobbler.Scrobble], ends with whatever the plugin makes of it
// at that moment, what Submit has taken is delivered: to every plugin with Scrobbler, each in its own time, however long
// its service is down and whichever replica dies. Plays of one user come to a plugin in the order in which they were
// submitted. The same play is taken once; see [subjects.PlayKey] for what makes two plays the same.
type Scrobbles struct {
	client *Client
	to     string
}

// Scrobbles returns the queue of plays for all plugins that have Scrobbler. No replica need be running.
func (c *Client) Scrobbles() Scrobbles { return Scrobbles{client: c} }

// To returns the queue of plays for one plugin alone.
func (s Scrobbles) To(id string) Scrobbles { return Scrobbles{s.client, id} }

// Submit returns once it is safe that user has played track, at a second's precision: from then on the play is not lost. One of
// User's fields may be empty: hosts know the other if a request had both before, or their configuration has. Without a deadline
// it has DefaultTimeout, in which it tries again while nobody answers: submitting twice does no harm. The error is
// subjects.ErrBadRequest of what no plugin could take, ErrTooLarge of more than subjects.MaxPlay bytes, ErrOverloaded if
// as much waits as may, and ErrUnavailable if JetStream is away or has no such stream as no replica was ever started.
// After any other error, and after that of a context which is over, the play may have been taken: submit it again. ErrBadRequest and
// ErrTooLarge are ErrUnrecoverable, too, and all others ErrRetryLater.
func (s Scrobbles) Submit(ctx context.Context, user User, track *api.TrackInfo, at time.Time) error {
	return submitted(s.submit(ctx, user, track, at))
}

func (s Scrobbles) submit(ctx context.Context, user User, track *api.TrackInfo, at time.Time) error {
	request := &api.ScrobblerScrobbleRequest{UserId: user.ID, Username: user.Name, Track: track, Timestamp: at.Unix()}
	switch {
	case user.ID == "" && user.Name == "":
		return subjects.Errorf(subjects.ErrBadRequest, "a play needs a user: a name or an id")
	case track.GetName() == "":
		return subjects.Errorf(subjects.ErrBadRequest, "a play needs a track with a name")
	case request.Timestamp <= 0:
		return subjects.Errorf(subjects.ErrBadRequest, "a play needs the time when it was played")
	}
	body, err := request.MarshalVT()
	if err != nil {
		return fmt.Errorf("submit a play: %w", err)
	}
	return s.publish(ctx, nats.Header{}, body)
}

// publish publishes a request, and returns once JetStream has stored it.
func (s Scrobbles) publish(ctx context.Context, header nats.Header, body []byte) error {
	msg := &nats.Msg{Subject: subjects.ScrobbleAll, Header: header, Data: body}
	if s.to != "" {
		if len(s.to) > subjects.MaxID {
			return subjects.Errorf(subjects.ErrBadRequest, "the plugin id has %d bytes, the limit is %d", len(s.to), subjects.MaxID)
		}
		msg.Subject = subjects.Scrobble(s.to)
	}
	if msg.Size() > subjects.MaxPlay {
		return subjects.Errorf(subjects.ErrTooLarge, "a play of %d bytes, the limit is %d", msg.Size(), subjects.MaxPlay)
	}
	ctx, cancel := s.client.bounded(ctx)
	defer cancel()
	taken := false // perhaps, by an attempt that was not answered
	err := jet.Again(ctx, func(ctx context.Context) error {
		js, err := s.client.jetStream()
		if err != nil {
			return err
		}
		_, err = js.PublishMsg(ctx, msg, jetstream.WithRetryAttempts(0))
		taken = taken || unanswered(err)
		return err
	})
	failure := submitFailure(err)
	if taken && errors.Is(failure, subjects.ErrUnavailable) { // now; before, somebody may have been there
		failure = subjects.Errorf(subjects.ErrDeadlineExceeded, "the play may have been taken, but no answer came: %w", failure)
	}
	return failure
}

// unanswered says whether a message that was published with an error may have been stored.
func unanswered(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || errors.Is(err, nats.ErrTimeout) ||
		errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrDisconnected)
}

// submitFailure is the failure that an error of JetStream stands for.
func submitFailure(err error) error {
	var refused *jetstream.APIError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused) && jet.IsLimit(err):
		return subjects.Errorf(subjects.ErrOverloaded, "no room for another play: %w", err)
	case errors.As(err, &refused), errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrNoStreamResponse):
		return subjects.Errorf(subjects.ErrUnavailable, "JetStream takes no plays: %w; see that NATS has JetStream, and that a replica has been started", err)
	case errors.Is(err, nats.ErrMaxPayload):
		return subjects.Errorf(subjects.ErrTooLarge, "%w", err)
	default:
		return fmt.Errorf("submit a play: %w", err)
	}
}
