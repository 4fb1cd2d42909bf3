package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/internal/excerpt"
	"github.com/pluginhost/pluginhost/internal/natswire"
	"github.com/pluginhost/pluginhost/jet"
	"github.com/pluginhost/pluginhost/subjects"
)

// Method is what answers one method of a plugin.
type Method struct {
	// Call takes the bytes of the request message and hands those of the response
	// to reply, or an error, exactly once; the response need be valid until reply
	// returns only. An error that is no *subjects.Error is passed on as ErrPlugin.
	Call func(ctx context.Context, request []byte, reply func(response []byte, err error))
	// RequestFromJSON and ResponseToJSON convert the two messages. What they take is in
	// proportion to them. An error that is no *subjects.Error is passed on as ErrBadRequest
	// and ErrCrashed.
	RequestFromJSON, ResponseToJSON func([]byte) ([]byte, error)
}

// EndpointConfig describes a plugin to the bus.
type EndpointConfig struct {
	// ID is the plugin's id.
	ID string
	// Replica is the identity of this replica, told in every reply.
	Replica string
	// Resolve finds a method or, with callback, a callback by its name on the
	// bus. Its error is the reply.
	Resolve func(name string, callback bool) (Method, error)
	// Describe tells discovery about the plugin as it is now.
	Describe func() Description
	// Hold charges the plugin for bytes of memory until release is called. Its error is
	// the reply to the call that they are for. Nil charges nobody.
	Hold func(bytes int64) (release func(), err error)
	// Limits are those to begin with.
	Limits EndpointLimits
}

// EndpointLimits bound the calls of an Endpoint.
type EndpointLimits struct {
	// MaxInFlight is how many calls may be here at once, running or waiting;
	// more are refused with subjects.ErrOverloaded. 0 is no bound.
	MaxInFlight int
	// Timeout is how long a call may take that does not say so itself;
	// MaxTimeout is the longest.
	Timeout, MaxTimeout time.Duration
}

// Endpoint serves the subjects of one plugin on this replica.
type Endpoint struct {
	bus           *Bus
	config        EndpointConfig
	instance      string // the ADR-32 instance id
	started       time.Time
	subscriptions []*nats.Subscription
	calls         sync.WaitGroup
	inFlight      atomic.Int64
	limits        atomic.Pointer[EndpointLimits]
	stats         callStats
	converting    converting
	// header and headerJSON are those of every reply that tells no failure.
	header, headerJSON nats.Header
}

// Serve subscribes to the subjects of a plugin and waits until the server knows, or for
// ctx. Calls arrive before it returns, each on a goroutine of its own: what Resolve
// returns bounds how many run. The caller drains the Endpoint.
func (b *Bus) Serve(ctx context.Context, config EndpointConfig) (*Endpoint, error) {
	e := &Endpoint{
		bus: b, config: config, instance: instanceID(config.Replica, config.ID), started: time.Now(),
		header:     nats.Header{subjects.HeaderReplica: {config.Replica}},
		headerJSON: nats.Header{subjects.HeaderReplica: {config.Replica}, subjects.HeaderContentType: {subjects.ContentTypeJSON}},
	}
	e.limits.Store(&config.Limits)
	e.converting = converting{turns: b.turns, hold: config.Hold}
	for _, s := range []struct {
		subject  string
		callback bool
	}{{subjects.Calls(config.ID), false}, {subjects.Callbacks(config.ID), true}} {
		subscription, err := b.calls.subscribe(s.subject, subjects.QueueGroup, func(msg *nats.Msg) {
			if err := natswire.RefusedError(msg.Header); err != nil {
				e.refuse(msg, err)
				return
			}
			limit := e.limits.Load().MaxInFlight
			if n := e.inFlight.Add(1); limit > 0 && n > int64(limit) {
				e.inFlight.Add(-1)
				e.refuse(msg, subjects.Errorf(subjects.ErrOverloaded, "%d calls are running or waiting: try again later, or raise [Runtime] MaxConcurrent or Queue", limit))
				return
			}
			x := &exchange{endpoint: e, request: msg, start: time.Now()}
			if x.json, x.fault = isJSON(msg); x.json && x.fault == nil {
				var err error
				if x.left, err = e.converting.arrive(int64(len(msg.Data))); err != nil {
					e.inFlight.Add(-1)
					e.refuse(msg, err)
					return
				}
			}
			e.calls.Add(1)
			b.workers.start(func() {
				defer e.calls.Done()
				defer e.inFlight.Add(-1)
				x.answer(s.callback)
			})
		})
		if err != nil {
			return nil, errors.Join(err, unsubscribeAll(e.subscriptions))
		}
		e.subscriptions = append(e.subscriptions, subscription)
	}
	b.services.add(e)
	// Calls must not be lost between the moment we say that we serve and the
	// moment the server knows.
	err := b.calls.awaitFlushed(ctx, func(err error) {
		b.config.Logger.Warn("the server does not know yet that we serve", "plugin", config.ID, "error", err)
	})
	if err != nil {
		b.services.remove(e)
		err = fmt.Errorf("subscribe %s: %w", subjects.Calls(config.ID), err)
		return nil, errors.Join(err, unsubscribeAll(e.subscriptions))
	}
	return e, nil
}

// SetLimits bounds the calls that arrive from now on.
func (e *Endpoint) SetLimits(limits EndpointLimits) { e.limits.Store(&limits) }

// Drain takes no more calls and waits until those that were delivered have been
// answered, or for ctx.
func (e *Endpoint) Drain(ctx context.Context) error {
	e.bus.services.remove(e)
	drained := make(chan error, 1)
	go func() {
		drained <- e.drainSubscriptions()
		e.calls.Wait()
		close(drained)
	}()
	var errs []error
	for {
		select {
		case err, open := <-drained:
			if !open {
				return errors.Join(errs...)
			}
			errs = append(errs, err)
		case <-ctx.Done():
			return errors.Join(append(errs, fmt.Errorf("drain %s: %w", e.config.ID, context.Cause(ctx)))...)
		}
	}
}

// drainSubscriptions is drain for all subscriptions.
func (e *Endpoint) drainSubscriptions() error {
	var errs []error
	for _, s := range e.subscriptions {
		errs = append(errs, e.bus.calls.drain(s))
	}
	return errors.Join(errs...)
}

// refuse answers a call that nothing is run for.
func (e *Endpoint) refuse(msg *nats.Msg, err error) {
	reply := &nats.Msg{Subject: msg.Reply}
	e.setFailure(reply, err)
	e.stats.record(unknownMethod, 0, err)
	e.send(reply)
}

// notConverted is why there is no conversion: it had to wait too long, says itself what it
// failed with, or just failed.
func notConverted(err, failed error, text string) error {
	var said *subjects.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return subjects.Errorf(subjects.ErrDeadlineExceeded, "the deadline passed while JSON waited to be converted")
	case errors.As(err, &said):
		return said
	default:
		return subjects.Errorf(failed, "%s: %w", text, err)
	}
}

// MaxResponse is the longest response that fits a reply, in bytes.
func (b *Bus) MaxResponse() int { return max(b.maxPayload()-jet.HeaderRoom, 1) }

func (e *Endpoint) setFailure(reply *nats.Msg, err error) {
	var failure *subjects.Error
	if !errors.As(err, &failure) {
		failure = subjects.Errorf(subjects.ErrPlugin, "%w", err)
	}
	reply.Data = nil
	reply.Header = nats.Header{subjects.HeaderReplica: {e.config.Replica}}
	reply.Header.Set(subjects.HeaderErrorCode, strconv.Itoa(failure.Code()))
	reply.Header.Set(subjects.HeaderError, excerpt.Header(failure.Text, min(subjects.MaxErrorText, e.bus.MaxResponse())))
	if errors.Is(failure, subjects.ErrOverloaded) {
		reply.Header.Set(subjects.HeaderRetryAfter, retryAfter.String())
	}
}

// retryAfter is what callers of an overloaded plugin are asked to wait.
const retryAfter = 100 * time.Millisecond

func (e *Endpoint) send(reply *nats.Msg) {
	if !subjects.MayReply(reply.Subject) {
		return // the caller wants no answer, or one that it must not get
	}
	if err := e.bus.calls.PublishMsg(reply); err != nil {
		e.bus.config.Logger.Warn("reply could not be sent", "plugin", e.config.ID, "error", err)
	}
}
