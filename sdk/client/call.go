package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/sdk/api/schema"
	"github.com/pluginhost/pluginhost/sdk/call"
	"github.com/pluginhost/pluginhost/subjects"
)

// minResend is the shortest pause before a call is sent again.
const minResend = 20 * time.Millisecond

// maxMethod bounds the name of a method, in bytes: a server closes the
// connection on which a subject is too long.
const maxMethod = 255

// Call calls one method by its name on the bus with the bytes of the request
// message and returns those of the response. It is easier called through
// MetadataAgent and Scrobbler. Callbacks, such as on_scheduler_callback, can be called
// too, to try them: by NATS users that may publish to plugins.*.callback.*.
func (c *Client) Call(ctx context.Context, id, method string, request []byte) ([]byte, error) {
	return c.send(ctx, id, outgoing{method: method, subject: subject(id, method), body: request})
}

// CallJSON is Call with JSON both ways. A timeout above 0 is what the plugin is
// given; the caller waits as long as ctx says, for a reply that tells why.
func (c *Client) CallJSON(ctx context.Context, id, method string, request []byte, timeout time.Duration) ([]byte, error) {
	return c.send(ctx, id, outgoing{method: method, subject: subject(id, method), body: request, json: true, timeout: timeout})
}

func subject(id, method string) string {
	if known, is := schema.Navidrome058().Method(method); is && known.Kind == schema.KindCallback {
		return subjects.Callback(id, method)
	}
	return subjects.Call(id, method)
}

// outgoing is one request before it is sent.
type outgoing struct {
	method  string
	subject string
	body    []byte
	json    bool
	timeout time.Duration // what the plugin is given; 0 is until the deadline
}

func (c *Client) send(ctx context.Context, id string, request outgoing) ([]byte, error) {
	if len(id) > subjects.MaxID {
		return nil, subjects.Errorf(subjects.ErrBadRequest, "the plugin id has %d bytes, the limit is %d", len(id), subjects.MaxID)
	}
	if len(request.method) > maxMethod || subjects.Token(request.method) != request.method {
		return nil, subjects.Errorf(subjects.ErrBadRequest, "unknown method %.80q: want a name such as get_artist_biography", request.method)
	}
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	for attempt := 0; ; attempt++ {
		response, err := c.once(ctx, id, request)
		var failure *subjects.Error
		if err == nil || !errors.As(err, &failure) || !failure.NothingRan() || attempt >= c.resends || errors.Is(err, errAtOnce) {
			return response, err
		}
		wait := max(failure.RetryAfter, minResend)
		if deadline, _ := ctx.Deadline(); time.Until(deadline) <= wait {
			return nil, err // the caller, who may ask another, need not wait for nothing
		}
		pause := time.NewTimer(wait)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return nil, err
		}
	}
}

// once sends the request once.
func (c *Client) once(ctx context.Context, id string, request outgoing) ([]byte, error) {
	if err := c.connected(); err != nil {
		return nil, err
	}
	msg := nats.NewMsg(request.subject)
	msg.Data = request.body
	timeout := request.timeout
	if timeout <= 0 {
		deadline, _ := ctx.Deadline()
		timeout = time.Until(deadline)
	}
	msg.Header.Set(subjects.HeaderTimeout, timeout.String())
	if request.json {
		msg.Header.Set(subjects.HeaderContentType, subjects.ContentTypeJSON)
	}
	if ids := call.Via(ctx); len(ids) > 0 {
		msg.Header.Set(subjects.HeaderVia, subjects.FormatVia(ids))
	}
	reply, err := c.conn.RequestMsgWithContext(ctx, msg)
	var broken *net.OpError
	switch {
	case err == nil:
		return reply.Data, failureOf(reply)
	case errors.As(err, &broken): // while a long request was written
		return nil, broke(id, err)
	case errors.Is(err, nats.ErrMaxPayload):
		return nil, subjects.Errorf(subjects.ErrTooLarge, "the request has %d bytes, the server's max_payload is %d", len(request.body), c.conn.MaxPayload())
	case errors.Is(err, nats.ErrReconnectBufExceeded): // lost since, and nats.go keeps nothing
		return nil, lost(nats.ErrConnectionReconnecting)
	case errors.Is(err, nats.ErrNoResponders):
		return nil, c.whyNobody(ctx, id)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout):
		if refused := c.conn.LastError(); errors.Is(refused, nats.ErrPermissionViolation) {
			// A server drops what a user may not publish, so this may be why.
			return nil, subjects.Errorf(subjects.ErrDeadlineExceeded, "no reply from %s in time; the NATS server has refused something to this user: %w", id, refused)
		}
		return nil, subjects.Errorf(subjects.ErrDeadlineExceeded, "no reply from %s in time", id)
	case errors.Is(err, nats.ErrConnectionDraining): // which takes no more requests
		return nil, lost(err)
	case errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrDisconnected):
		// It may have been sent before: nats.go does not tell.
		return nil, broke(id, err)
	default:
		return nil, fmt.Errorf("call %s: %w", id, err)
	}
}

// failureOf returns the failure that a reply tells, or nil.
func failureOf(reply *nats.Msg) error {
	failure, err := call.ReadFailure(reply.Header)
	var code *call.CodeError
	switch {
	case errors.As(err, &code):
		return fmt.Errorf("reply with the code %q", code.Code)
	case err != nil:
		return fmt.Errorf("reply: %w", err)
	case failure == nil:
		return nil
	}
	return call.MatchAPI(failure)
}

// message is what the messages of package api can do.
type message interface {
	MarshalVT() ([]byte, error)
	UnmarshalVT([]byte) error
}

// invoke calls a method with messages.
func invoke(ctx context.Context, c *Client, id, method string, request, response message) error {
	body, err := request.MarshalVT()
	if err != nil {
		return fmt.Errorf("call %s: %w", id, err)
	}
	answer, err := c.Call(ctx, id, method, body)
	if err != nil {
		return err
	}
	if err := response.UnmarshalVT(answer); err != nil {
		return subjects.Errorf(subjects.ErrCrashed, "the response of %s does not decode: %w", id, err)
	}
	return nil
}
