package socket

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/internal/natswire"
	"github.com/pluginhost/pluginhost/sdk/call"
	"github.com/pluginhost/pluginhost/subjects"
)

const (
	// socketTimeout bounds what another replica is asked to do with a connection,
	// replaceTimeout how long one that does not answer is waited for.
	socketTimeout  = 15 * time.Second
	replaceTimeout = 2 * time.Second
	// flushTimeout bounds how long it takes to tell the server of a subscription.
	flushTimeout = 5 * time.Second
	// maxSocketRequests is how many requests for one connection are carried out at
	// once.
	maxSocketRequests = 16
)

// Control is a connection on which replicas ask each other: see [bus.Bus.Control].
type Control interface {
	// Listen subscribes, with bounds on what may wait. The handler must not block for long.
	Listen(subject string, handle nats.MsgHandler) (*nats.Subscription, error)
	// AwaitConnected waits until the connection is up, or for ctx.
	AwaitConnected(ctx context.Context) error
	// Closed is closed when the connection is gone for good.
	Closed() <-chan struct{}
	FlushTimeout(timeout time.Duration) error
	PublishMsg(msg *nats.Msg) error
	RequestMsgWithContext(ctx context.Context, msg *nats.Msg) (*nats.Msg, error)
}

// Handler carries out a request for a connection; it may block. ErrNoSocket
// says that the connection has ended, ErrSocketLost that another one has its id, whose
// owner answers.
type Handler func(ctx context.Context, request subjects.SocketRequest, body []byte) error

// Requests are requests of other replicas for a connection that this one owns.
type Requests struct {
	control      Control
	subscription *nats.Subscription
	quit         sync.Once
	end          context.CancelFunc
	handling     sync.WaitGroup
}

// Serve takes requests of other replicas for a connection that this one owns. The
// caller stops it once the connection has ended.
func (s *Sockets) Serve(id, connection string, handle Handler) (*Requests, error) {
	ctx, cancel := context.WithCancel(context.Background())
	r := &Requests{control: s.control, end: cancel}
	places := make(chan struct{}, maxSocketRequests)
	var err error
	r.subscription, err = s.control.Listen(subjects.Socket(id, connection), func(msg *nats.Msg) {
		if !subjects.IsHostReply(msg.Reply) {
			return // only replicas ask
		}
		if err := natswire.RefusedError(msg.Header); err != nil {
			s.answer(msg, err)
			return
		}
		places <- struct{}{}
		r.handling.Go(func() {
			defer func() { <-places }()
			ctx, cancel := context.WithTimeout(ctx, socketTimeout)
			defer cancel()
			request, err := subjects.HeaderValue(msg.Header, subjects.HeaderSocket)
			if err == nil {
				err = handle(ctx, subjects.SocketRequest(request), msg.Data)
			}
			s.answer(msg, err)
		})
	})
	if err != nil {
		cancel()
		return nil, err
	}
	if err := s.control.FlushTimeout(flushTimeout); err != nil {
		s.handle.Logger().Warn("other replicas may not reach a connection yet", "error", err)
	}
	return r, nil
}

// Quit takes no more requests than those that have come, and does not wait: the id is
// free for another connection.
func (r *Requests) Quit() {
	r.quit.Do(func() { _ = r.subscription.Drain() }) // fails where nothing can come any more
}

// Stop is Quit, and waits for those that are being carried out: nothing is left that
// they could wait for.
func (r *Requests) Stop() {
	defer r.end()
	r.Quit()
	select {
	case <-r.subscription.StatusChanged(nats.SubscriptionClosed):
	case <-r.control.Closed():
	}
	r.handling.Wait()
}

func (s *Sockets) answer(msg *nats.Msg, err error) {
	if errors.Is(err, ErrLost) {
		return // only the owner answers
	}
	reply := nats.NewMsg(msg.Reply)
	if err != nil {
		code := http.StatusBadGateway
		if errors.Is(err, ErrNone) {
			code = http.StatusNotFound
		}
		call.WriteFailure(reply.Header, subjects.FromCode(code, err.Error()), call.MaxErrorText)
	}
	if err := s.control.PublishMsg(reply); err != nil {
		s.handle.Logger().Warn("a request for a connection could not be answered", "error", err)
	}
}

// Ask has the owner of a connection carry out a request. It is ErrNoSocket where
// nobody owns it.
func (s *Sockets) Ask(ctx context.Context, id, connection string, request subjects.SocketRequest, body []byte) error {
	timeout := socketTimeout
	if request == subjects.SocketReplace {
		timeout = replaceTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	msg := nats.NewMsg(subjects.Socket(id, connection))
	msg.Header.Set(subjects.HeaderSocket, string(request))
	msg.Data = body
	if err := s.control.AwaitConnected(ctx); err != nil {
		return err
	}
	reply, err := s.control.RequestMsgWithContext(ctx, msg)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return ErrNone
	case err != nil:
		return fmt.Errorf("the replica that has the connection: %w", err)
	}
	if err := natswire.RefusedError(reply.Header); err != nil {
		return fmt.Errorf("the replica that has the connection: %w", err)
	}
	failure, err := call.ReadFailure(reply.Header)
	switch {
	case err != nil:
		return fmt.Errorf("the replica that has the connection: %w", err)
	case failure == nil:
		return nil
	case errors.Is(failure, subjects.ErrNotFound):
		return ErrNone
	default:
		return errors.New(failure.Text)
	}
}

// AskJSON is Ask with a body in JSON.
func (s *Sockets) AskJSON(ctx context.Context, id, connection string, request subjects.SocketRequest, body any) error {
	encoded, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return s.Ask(ctx, id, connection, request, encoded)
}
