// Package client calls plugins over NATS. It is what a music server, or any
// other Go program, imports: it needs neither a WebAssembly runtime nor the
// host.
//
//	conn, err := client.Connect("nats://127.0.0.1:4222")
//	agent := client.New(conn).MetadataAgent("wikipedia")
//	answer, err := agent.GetArtistBiography(ctx, &api.ArtistBiographyRequest{Name: "Nina Simone"})
//
// Every call has the deadline of its context, which travels with it; without
// one it is DefaultTimeout, or what WithTimeout says. A failed call is a *subjects.Error, which errors.Is
// matches with the errors of package subjects and, where the plugin said so,
// with api.ErrNotFound and api.ErrNotImplemented; of a Scrobbler also with ErrNotAuthorized, ErrRetryLater or ErrUnrecoverable.
//
// # The connection
//
// While nats.go knows that its connection is lost, nothing is sent: every method fails
// at once with subjects.ErrUnavailable, which says that nothing ran. What was sent
// before may have run, and ends with subjects.ErrDeadlineExceeded where no reply comes, also if
// the connection is closed meanwhile. [Connect] has the options of nats.go that this takes; [New] says what
// remains on a connection that has others.
package client

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
)

// DefaultTimeout bounds a call whose context has no deadline, unless WithTimeout has another.
const DefaultTimeout = 10 * time.Second

// bounded gives a context without a deadline one.
func bounded(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	if _, is := ctx.Deadline(); is {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, timeout)
}

// bounded gives a context without a deadline that of a call.
func (c *Client) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return bounded(ctx, c.timeout)
}

// Client calls plugins over one connection. It is safe for concurrent use, and
// there is nothing to close.
type Client struct {
	conn *nats.Conn
	// timeout bounds a call whose context has no deadline.
	timeout time.Duration
	// resends is how often a call is sent again after a refusal that says that
	// nothing ran.
	resends int
	// gather is how long answers to control requests are waited for.
	gather time.Duration
	// said is what plugins have said of users.
	said *authorizations
}

// Option changes a Client.
type Option func(*Client)

// WithResends sets how often a call is sent again, within its deadline, after a
// replica has refused it without running anything: subjects.ErrOverloaded, and
// subjects.ErrUnavailable of one that unloads the plugin, but not where nobody
// serves it or the connection is lost. Defaults to 2; 0 turns it off.
func WithResends(n int) Option { return func(c *Client) { c.resends = n } }

// WithTimeout bounds calls whose context has no deadline, and the waits of other methods that say DefaultTimeout. 0 and less is
// DefaultTimeout. A replica gives a plugin no longer than its own [Runtime] MaxTimeout.
func WithTimeout(d time.Duration) Option { return func(c *Client) { c.timeout = d } }

// New returns a Client on a connection, which stays the caller's to close: one of [Connect] or of nats.Connect. Whatever its options,
// nothing is sent while nats.go knows that the connection is lost. What remains where it keeps what is sent meanwhile, as it does by itself, is the
// moment between the look at the connection and the sending: what is sent in it is sent again once the connection is back, so
// that a call which has ended with subjects.ErrDeadlineExceeded may run as late as that. ReconnectBufSize(-1) ends this. A connection
// without MaxReconnects(-1) is closed for good after some two minutes of an outage: from then on every method fails.
func New(conn *nats.Conn, options ...Option) *Client {
	c := &Client{conn: conn, resends: 2, gather: time.Second, said: newAuthorizations()}
	for _, option := range options {
		option(c)
	}
	if c.timeout <= 0 {
		c.timeout = DefaultTimeout
	}
	return c
}
