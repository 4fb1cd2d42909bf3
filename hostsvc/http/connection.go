package http

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
)

// maxConnections is how many connections a plugin may have at a time, idle ones and
// those still being made included.
const maxConnections = 64

// connection gives its slot back when it is closed.
type connection struct {
	net.Conn
	release func()
}

// Close closes the connection. It can be called more than once.
func (c *connection) Close() error {
	defer c.release()
	return c.Conn.Close()
}

// exchangeKey is where a context keeps the context of the exchange it is for.
type exchangeKey struct{}

// withExchange marks ctx as the context of an exchange, for dial to find.
func withExchange(ctx context.Context) context.Context {
	return context.WithValue(ctx, exchangeKey{}, ctx)
}

// dial makes the connections of the transport. Left alone, the transport would go on
// dialling after the exchange has ended, and a plugin with short timeouts could pile
// up sockets without end: here the dial ends with its exchange. What remains, TLS
// handshakes, is bounded by the number of slots.
func (s *Service) dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if exchange, ok := ctx.Value(exchangeKey{}).(context.Context); ok {
		defer context.AfterFunc(exchange, func() { cancel(exchange.Err()) })()
	}
	select {
	case s.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("all %d connections are in use: %w", maxConnections, context.Cause(ctx))
	}
	release := sync.OnceFunc(func() { <-s.slots })
	conn, err := s.gate.Guard.DialContext(ctx, network, address)
	if err != nil {
		release()
		if ctx.Err() != nil && errors.Is(err, context.Canceled) {
			err = context.Cause(ctx) // a deadline, perhaps
		}
		return nil, err
	}
	return &connection{Conn: conn, release: release}, nil
}
