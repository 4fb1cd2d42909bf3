package plugintest

import (
	"context"
	"fmt"
	"net"
	"net/url"
)

// Server is a WebSocket server that the plugin can connect to.
type Server struct {
	host    *Host
	address string

	watched
	connections []*Connection
	returned    int    // of them, by Connection
	refusal     int    // the status of the answer to handshakes; 0 takes them
	failure     string // why the last attempt to connect failed
}

// WebSocket makes a WebSocket server at an address, such as wss://example.com/feed, or
// returns the one that is there. The query does not count. The host of the plugin checks
// connections as ever: the manifest must allow them. They go over no network, and over no
// TLS, and no name is looked up. To an address without a server connections fail.
func (h *Host) WebSocket(address string) *Server {
	h.t.Helper()
	target, err := url.Parse(address)
	if err != nil || target.Scheme != "ws" && target.Scheme != "wss" || target.Host == "" {
		h.fail("%q is no address of a WebSocket server: want one such as wss://example.com/feed", address)
	}
	return h.sockets.server(target)
}

// Connection returns the plugin's next connection to the server: the first at the first call,
// and so on. A connection is there when the plugin's Connect has returned, and is returned
// also where it has ended. Without one the test fails after 10 seconds, or when ctx is over.
func (s *Server) Connection(ctx context.Context) *Connection {
	s.host.t.Helper()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var next *Connection
	found := s.await(ctx, func() bool {
		if s.returned == len(s.connections) {
			return false
		}
		next = s.connections[s.returned]
		s.returned++
		return true
	})
	if !found {
		why := "the plugin has not tried, or was not allowed to"
		s.look(func() {
			if s.failure != "" {
				why = "the last attempt: " + s.failure
			}
		})
		s.host.fail("no connection to %s: %s", s.address, why)
	}
	return next
}

// Refuse has the server answer handshakes with a status, such as 503, from now on; 0 lets
// connections in again. Those that there are stay.
func (s *Server) Refuse(status int) {
	s.change(func() { s.refusal = status })
}

// accept answers a handshake and takes what the plugin sends. It returns when the
// connection has ended.
func (s *Server) accept(c *Connection, wire net.Conn) {
	defer func() { _ = wire.Close() }()
	conn, err := s.shakeHands(c, wire)
	c.accepted <- conn
	if err != nil {
		s.host.log.printf("plugintest: handshake at %s: %v", s.address, err)
	}
	if conn != nil {
		c.receive()
	}
}

// errNoServer is a connection to where the test has no server.
func errNoServer(target *url.URL) error {
	address := withoutQuery(target)
	return fmt.Errorf("the test has no server at %s: call Host.WebSocket(%q)", address, address)
}
