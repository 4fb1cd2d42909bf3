// Package client calls plugins over NATS. It is what a music server, or any
// other Go program, imports: it needs neither a WebAssembly runtime nor the
// host.
//
//	nc, err := nats.Connect("nats://127.0.0.1:4222", nats.MaxReconnects(-1), nats.ReconnectBufSize(-1))
//	agent := client.New(nc).MetadataAgent("wikipedia")
//	answer, err := agent.GetArtistBiography(ctx, &api.ArtistBiographyRequest{Name: "Nina Simone"})
//
// Every call has the deadline of its context, which travels with it; without
// one it is DefaultTimeout. A failed call is a *subjects.Error, which errors.Is
// matches with the errors of package subjects and, where the plugin said so,
// with api.ErrNotFound and api.ErrNotImplemented.
//
// # The connection
//
// While nats.go knows that its connection is lost, nothing is sent: every method fails
// at once with subjects.ErrUnavailable, which says that nothing ran. What was sent
// before may have run, and ends with subjects.ErrDeadlineExceeded where no reply comes.
// Two options of the connection matter:
//
//   - nats.MaxReconnects(-1): otherwise nats.go gives up after some two minutes and
//     closes the connection for good.
//   - nats.ReconnectBufSize(-1): otherwise nats.go keeps what is sent in the moment in
//     which the connection breaks, and sends it when it is back. Such a call ends with
//     subjects.ErrDeadlineExceeded, and may run later.
package client

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
)

// DefaultTimeout bounds a call whose context has no deadline.
const DefaultTimeout = 10 * time.Second

// bounded gives a context without a deadline one.
func bounded(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	if _, is := ctx.Deadline(); is {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, timeout)
}

// Client calls plugins over one connection. It is safe for concurrent use and
// holds nothing: there is nothing to close.
type Client struct {
	conn *nats.Conn
	// resends is how often a call is sent again after a refusal that says that
	// nothing ran.
	resends int
	// gather is how long answers to control requests are waited for.
	gather time.Duration
}

// Option changes a Client.
type Option func(*Client)

// WithResends sets how often a call is sent again, within its deadline, after a
// replica has refused it without running anything: subjects.ErrOverloaded, and
// subjects.ErrUnavailable of one that unloads the plugin, but not where nobody
// serves it or the connection is lost. Defaults to 2; 0 turns it off.
func WithResends(n int) Option { return func(c *Client) { c.resends = n } }

// New returns a Client on a connection, which stays the caller's to close.
func New(conn *nats.Conn, options ...Option) *Client {
	c := &Client{conn: conn, resends: 2, gather: time.Second}
	for _, option := range options {
		option(c)
	}
	return c
}
