package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/internal/natswire"
	"github.com/pluginhost/pluginhost/sdk/call"
	"github.com/pluginhost/pluginhost/sdk/jet"
	"github.com/pluginhost/pluginhost/subjects"
)

// EndpointConfig describes a plugin to the bus.
type EndpointConfig struct {
	// ID is the plugin's id.
	ID string
	// Replica is the identity of this replica, told in every reply.
	Replica string
	// Calls answers the calls.
	Calls *call.Server
	// Stats are what discovery tells of them; nil tells none.
	Stats *call.Stats
	// Describe tells discovery about the plugin as it is now.
	Describe func() Description
}

// Endpoint serves the subjects of one plugin on this replica.
type Endpoint struct {
	bus           *Bus
	config        EndpointConfig
	instance      string // the ADR-32 instance id
	started       time.Time
	subscriptions []*nats.Subscription
	calls         sync.WaitGroup
	// header and headerJSON are those of every reply that tells no failure.
	header, headerJSON nats.Header
}

// Serve subscribes to the subjects of a plugin and waits until the server knows, or for
// ctx. Calls arrive before it returns, each on a goroutine of its own: the limits of
// config.Calls bound how many. The caller drains the Endpoint.
func (b *Bus) Serve(ctx context.Context, config EndpointConfig) (*Endpoint, error) {
	e := &Endpoint{
		bus: b, config: config, instance: instanceID(config.Replica, config.ID), started: time.Now(),
		header:     nats.Header{subjects.HeaderReplica: {config.Replica}},
		headerJSON: nats.Header{subjects.HeaderReplica: {config.Replica}, subjects.HeaderContentType: {subjects.ContentTypeJSON}},
	}
	for _, s := range []struct {
		subject  string
		callback bool
	}{{subjects.Calls(config.ID), false}, {subjects.Callbacks(config.ID), true}} {
		subscription, err := b.calls.subscribe(s.subject, subjects.QueueGroup, func(msg *nats.Msg) { e.take(msg, s.callback) })
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

// take begins to answer a call, or refuses it. It must not block: it runs on the
// subscription's goroutine.
func (e *Endpoint) take(msg *nats.Msg, callback bool) {
	x := &exchange{endpoint: e, inbox: msg.Reply}
	request := call.Request{Method: lastToken(msg.Subject), Callback: callback, Body: msg.Data, Header: msg.Header}
	if err := natswire.RefusedError(msg.Header); err != nil {
		x.refuse(request, err)
		return
	}
	var fault error
	if request.JSON, fault = call.IsJSON(msg.Header, msg.Data); fault != nil {
		request.Fault = subjects.Errorf(subjects.ErrBadRequest, "%w", fault)
	}
	if err := e.config.Calls.Admit(&x.Admission, request); err != nil {
		x.refuse(request, err)
		return
	}
	e.calls.Add(1)
	e.bus.workers.start(x.serve)
}

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

// MaxResponse is the longest response that fits a reply, in bytes.
func (b *Bus) MaxResponse() int { return max(b.maxPayload()-jet.HeaderRoom, 1) }

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
