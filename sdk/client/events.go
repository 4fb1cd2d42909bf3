package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/subjects"
)

const (
	// maxEvents and maxEventBytes bound the events that wait to be handled.
	maxEvents     = 4096
	maxEventBytes = 8 << 20
)

// Errors of events.
var (
	// ErrUnknownEvent is an event of a kind that this version does not know.
	ErrUnknownEvent = errors.New("an event of a kind that is not known")
	// ErrEventsRefused is that the user of the connection may not subscribe to pluginhost.event.>.
	ErrEventsRefused = errors.New("the NATS server refuses this user the events of replicas")
)

// Event is what a replica has told of itself or of a plugin.
type Event struct {
	// Kind is what the event tells.
	Kind subjects.EventKind
	// ID is that of the plugin or, of a leader_gained, leader_lost, config_refused or config_applied, the identity of the replica.
	ID string
	// Body is the JSON document, as it came.
	Body []byte
	// Missed says that events before this one were dropped, as more came than could be handled, or may have been lost, as the
	// connection was: who keeps something up to date by events asks anew.
	Missed bool
}

// Decode returns the body as what it is by the kind: a subjects.PluginEvent, OutputEvent, LeaderEvent, ConfigEvent, ScheduleEvent,
// FiresEvent or ScrobbleEvent. The error is ErrUnknownEvent, or that the JSON does not decode.
func (e Event) Decode() (any, error) {
	switch e.Kind {
	case subjects.EventLoaded, subjects.EventFailed, subjects.EventUnloaded:
		return decodeEvent[subjects.PluginEvent](e)
	case subjects.EventOutput:
		return decodeEvent[subjects.OutputEvent](e)
	case subjects.EventLeaderGained, subjects.EventLeaderLost:
		return decodeEvent[subjects.LeaderEvent](e)
	case subjects.EventConfigRefused, subjects.EventConfigApplied:
		return decodeEvent[subjects.ConfigEvent](e)
	case subjects.EventScheduleMissed, subjects.EventScheduleRerun:
		return decodeEvent[subjects.ScheduleEvent](e)
	case subjects.EventFiresRecovered:
		return decodeEvent[subjects.FiresEvent](e)
	case subjects.EventScrobbleDead, subjects.EventScrobbleRerun, subjects.EventScrobbleAside, subjects.EventScrobblePaused,
		subjects.EventScrobbleResumed, subjects.EventScrobbleDropped:
		return decodeEvent[subjects.ScrobbleEvent](e)
	default:
		return nil, fmt.Errorf("%w: %.40q", ErrUnknownEvent, e.Kind)
	}
}

func decodeEvent[T any](e Event) (any, error) {
	var body T
	if err := json.Unmarshal(e.Body, &body); err != nil {
		return nil, fmt.Errorf("event %s: %w", e.Kind, err)
	}
	return body, nil
}

// Events tells of the events of all replicas, one after another in the order in which they come, until ctx is over, whose error
// it returns. Events are not stored: it tells of those that happen from some moment of this call on. While handle is busy 4,096 of them wait, or 8 MiB; more are
// dropped, which Event.Missed says. A lost connection ends nothing. Other errors are subjects.ErrUnavailable if the connection is lost
// at the beginning, ErrEventsRefused, and nats.ErrConnectionClosed.
func (c *Client) Events(ctx context.Context, handle func(Event)) error {
	if err := c.connected(); err != nil {
		return err
	}
	said := c.conn.LastError()
	subscription, err := c.conn.SubscribeSync(subjects.EventSubjects)
	if err != nil {
		return fmt.Errorf("events: %w", err)
	}
	defer func() { _ = subscription.Unsubscribe() }()
	if err := subscription.SetPendingLimits(maxEvents, maxEventBytes); err != nil {
		return fmt.Errorf("events: %w", err)
	}
	if err := c.mayHear(ctx, said); err != nil {
		return err
	}
	var missed missed
	missed.since(c.conn, subscription) // of what was before nobody asks
	for {
		msg, err := subscription.NextMsgWithContext(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, nats.ErrSlowConsumer): // which is said once, and counted
			continue
		case err != nil:
			return fmt.Errorf("events: %w", err)
		}
		if event, is := eventOf(msg); is {
			event.Missed = missed.since(c.conn, subscription)
			handle(event)
		}
	}
}

// mayHear waits until the server has taken a subscription, or refused it; said is what it had said before.
func (c *Client) mayHear(ctx context.Context, said error) error {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	if err := c.conn.FlushWithContext(ctx); err != nil {
		if errors.Is(err, nats.ErrConnectionClosed) {
			return fmt.Errorf("events: %w", err)
		}
		return nil // it is lost, and subscribed anew when it is back
	}
	// The server refuses before it answers the flush.
	if now := c.conn.LastError(); now != said && errors.Is(now, nats.ErrPermissionViolation) { //nolint:errorlint // another one, even if it says the same
		return fmt.Errorf("%w: %w", ErrEventsRefused, now)
	}
	return nil
}

// missed counts what a subscription has lost.
type missed struct {
	dropped    int
	reconnects uint64
}

// since says whether something was lost since it was called last.
func (m *missed) since(conn *nats.Conn, subscription *nats.Subscription) bool {
	before := *m
	if dropped, err := subscription.Dropped(); err == nil {
		m.dropped = dropped
	}
	m.reconnects = conn.Stats().Reconnects
	return *m != before
}

// eventOf reads the subject of an event; what is none is left out.
func eventOf(msg *nats.Msg) (Event, bool) {
	kind, id, err := subjects.ParseEvent(msg.Subject)
	return Event{Kind: kind, ID: id, Body: msg.Data}, err == nil
}
