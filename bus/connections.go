package bus

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/internal/natswire"
	"github.com/pluginhost/pluginhost/sdk/jet"
	"github.com/pluginhost/pluginhost/subjects"
)

// purpose is what a connection is for.
type purpose string

// A replica has a connection for each, that for doors if it has any: what others send on one keeps nothing on another
// waiting.
const (
	// forCalls has the calls of plugins, and the requests that others than hosts answer.
	forCalls purpose = "calls"
	// forControl has control requests, discovery, and the requests of replicas to each
	// other.
	forControl purpose = "control"
	// forCore has JetStream and announcements. Nobody sends to it but the server: its
	// inboxes are known to nobody.
	forCore purpose = "core"
	// forDoors has the calls that this replica makes as others do, for who comes to it by a door beside NATS.
	forDoors purpose = "doors"
)

// connection is one of a replica's to the NATS server.
type connection struct {
	*nats.Conn
	purpose purpose
	closed  chan struct{} // closed when the connection is gone for good
}

// connections are those of a replica; nil is one that is not made yet.
type connections struct {
	calls, control, core, doors *connection

	lost chan error // what Lost returns
}

// errConnectionClosed is what Lost gets for a connection.
var errConnectionClosed = errors.New("the NATS connection is closed for good: check the server, its users and permissions, and start again")

func newConnections() *connections { return &connections{lost: make(chan error, 1)} }

// lose tells who has asked Lost; the first reason counts.
func (c *connections) lose(err error) {
	select {
	case c.lost <- err:
	default:
	}
}

// all are those that there are, in the order in which a replica gives them up.
func (c *connections) all() []*connection {
	var all []*connection
	for _, one := range []*connection{c.doors, c.calls, c.control, c.core} {
		if one != nil {
			all = append(all, one)
		}
	}
	return all
}

// connect makes a connection, with options for all of them. The Bus closes it.
func (b *Bus) connect(ctx context.Context, url string, of purpose, options []nats.Option) (*connection, error) {
	c := &connection{purpose: of, closed: make(chan struct{})}
	prefix := subjects.InboxPrefix
	switch of {
	case forCore:
		prefix = subjects.CoreInboxPrefix + "." + rand.Text()
	case forDoors:
		prefix = subjects.DoorInboxPrefix
	case forCalls, forControl:
	}
	options = append(append(options[:len(options):len(options)], b.reports(c)...),
		nats.Name(fmt.Sprintf("pluginhost %s %s", b.config.Name, of)), nats.CustomInboxPrefix(prefix))
	var err error
	if c.Conn, err = b.dial(ctx, url, options); err != nil {
		return nil, fmt.Errorf("connect to NATS at %s for %s: %w", subjects.WithoutUser(url), of, err)
	}
	b.noteServers(c.Conn)
	return c, nil
}

// dial waits for a server that is not there yet: it may be starting as well.
func (b *Bus) dial(ctx context.Context, url string, options []nats.Option) (*nats.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, b.config.Patience)
	defer cancel()
	ticker := time.NewTicker(connectPause)
	defer ticker.Stop()
	for waiting := false; ; waiting = true {
		conn, err := natswire.Connect(url, options...)
		if !errors.Is(err, nats.ErrNoServers) {
			return conn, err
		}
		if !waiting {
			b.config.Logger.Warn("no NATS server yet", "url", subjects.WithoutUser(url), "waiting", b.config.Patience)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: start it, or name another with --nats", err)
		}
	}
}

// reports are the options that log what happens to a connection.
func (b *Bus) reports(c *connection) []nats.Option {
	log := b.config.Logger.With("connection", string(c.purpose))
	return []nats.Option{
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				log.Warn("NATS connection lost", "error", err)
			}
		}),
		nats.ReconnectHandler(func(c *nats.Conn) {
			b.noteServers(c)
			log.Info("NATS connection is back", "url", subjects.WithoutUser(c.ConnectedUrl()))
		}),
		nats.DiscoveredServersHandler(b.noteServers),
		nats.ErrorHandler(func(_ *nats.Conn, s *nats.Subscription, err error) {
			subject := ""
			if s != nil {
				subject = s.Subject
			}
			if errors.Is(err, nats.ErrSlowConsumer) {
				b.slow.Add(1)
			}
			log.Error("NATS", "subject", subject, "error", err)
		}),
		nats.ClosedHandler(func(*nats.Conn) {
			log.Debug("NATS connection closed")
			close(c.closed)
			b.lose(errConnectionClosed)
		}),
	}
}

// awaitConnected waits until the connection is up, or for ctx.
func (c *connection) awaitConnected(ctx context.Context) error {
	return jet.AwaitConnected(ctx, c.Conn, string(c.purpose))
}

// awaitFlushed waits until the server knows of all that was sent to it, or for ctx. late
// is called when that takes long.
func (c *connection) awaitFlushed(ctx context.Context, late func(error)) error {
	for told := false; ; told = true {
		attempt, cancel := context.WithTimeout(ctx, connectTimeout)
		err := c.awaitConnected(attempt)
		if err == nil {
			err = c.FlushWithContext(attempt)
		}
		cancel()
		if err == nil || ctx.Err() != nil || c.IsClosed() {
			return err
		}
		if !told {
			late(err)
		}
		if jet.Pause(ctx, connectPause) != nil {
			return err
		}
	}
}

// subscribe subscribes with bounds of our own; the handler runs on one
// goroutine for the subscription and must not block.
func (c *connection) subscribe(subject, queue string, handle nats.MsgHandler) (*nats.Subscription, error) {
	s, err := c.QueueSubscribe(subject, queue, handle)
	if err != nil {
		return nil, fmt.Errorf("subscribe %s: %w", subject, err)
	}
	if err := s.SetPendingLimits(pendingMessages, pendingBytes); err != nil {
		return nil, fmt.Errorf("subscribe %s: %w", subject, err)
	}
	return s, nil
}

// drain unsubscribes and waits until what the server had already delivered has been
// handed on.
func (c *connection) drain(s *nats.Subscription) error {
	closed := s.StatusChanged(nats.SubscriptionClosed)
	err := s.Drain()
	switch {
	case errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrBadSubscription):
		return nil // nothing can arrive any more
	case err != nil:
		return err
	}
	for {
		select {
		case status := <-closed:
			if status == nats.SubscriptionClosed {
				return nil
			}
		case <-c.closed:
			return nil
		}
	}
}

// leave sends what is still to be sent, and closes the connection.
func (c *connection) leave() error {
	var err error
	if c.IsConnected() {
		err = c.FlushTimeout(closeTimeout)
	}
	c.Close()
	<-c.closed
	return err
}

// Control is the connection on which replicas ask each other. The Bus closes it.
func (b *Bus) Control() *Connection { return &Connection{b.control} }

// Connection is one of a Bus, for what lies below it.
type Connection struct{ *connection }

// Listen subscribes with bounds of our own; the handler runs on one goroutine for the
// subscription and must not block.
func (c *Connection) Listen(subject string, handle nats.MsgHandler) (*nats.Subscription, error) {
	return c.subscribe(subject, "", handle)
}

// AwaitConnected waits until the connection is up, or for ctx.
func (c *Connection) AwaitConnected(ctx context.Context) error { return c.awaitConnected(ctx) }

// Closed is closed when the connection is gone for good.
func (c *Connection) Closed() <-chan struct{} { return c.closed }
