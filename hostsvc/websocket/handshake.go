package websocket

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync"

	"github.com/pluginhost/pluginhost/hostsvc/internal/egress"
)

// dialFunc makes a network connection.
type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// handshake holds the network connection of a dial: to break it off from outside, and
// to bound the answer of the server.
type handshake struct {
	limited *limitedConn // what the library reads and writes; used by the dial alone

	mu      sync.Mutex
	raw     net.Conn // what was dialled, below TLS; nil before
	aborted bool
}

func (h *handshake) open(ctx context.Context, network, address string, dial dialFunc) (net.Conn, error) {
	conn, err := dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	h.raw = conn
	aborted := h.aborted
	h.mu.Unlock()
	if aborted {
		_ = conn.Close()
		return nil, context.Cause(ctx)
	}
	h.limited = &limitedConn{Conn: conn, left: egress.MaxHeaderBytes, limited: true}
	return h.limited, nil
}

// openTLS is open and the TLS handshake. The answer is bounded above TLS.
func (h *handshake) openTLS(ctx context.Context, network, address string, dial dialFunc, config *tls.Config) (net.Conn, error) {
	if _, err := h.open(ctx, network, address, dial); err != nil {
		return nil, err
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	config = config.Clone()
	config.ServerName = host
	conn := tls.Client(h.raw, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	h.limited.Conn = conn
	return h.limited, nil
}

// abort closes the network connection, also one that is still to be opened.
func (h *handshake) abort() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.aborted = true
	if h.raw != nil {
		_ = h.raw.Close()
	}
}

// ready lifts the limit on what is read. It returns the connection below TLS, and what is
// known of the server's close frame.
func (h *handshake) ready() (net.Conn, *firstClose) {
	h.limited.limited = false
	return h.raw, &h.limited.closing
}

// limitedConn is a network connection of which only so much can be read at first, and that
// looks at what is read.
type limitedConn struct {
	net.Conn
	left    int // bytes, while limited
	limited bool
	closing firstClose
}

// Read fails at the limit.
func (c *limitedConn) Read(p []byte) (int, error) {
	n, err := c.read(p)
	c.closing.see(p[:n])
	return n, err
}

func (c *limitedConn) read(p []byte) (int, error) {
	if !c.limited {
		return c.Conn.Read(p)
	}
	if c.left == 0 {
		return 0, fmt.Errorf("the answer of the server is over the limit of %d bytes", egress.MaxHeaderBytes)
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}
