package plugintest

import (
	"bufio"
	"net"
	"net/http"

	"github.com/gorilla/websocket"
)

// shakeHands answers a handshake; the connection is nil where it is refused.
func (s *Server) shakeHands(c *Connection, wire net.Conn) (*websocket.Conn, error) {
	reader := bufio.NewReader(wire)
	request, err := http.ReadRequest(reader)
	if err != nil {
		return nil, err
	}
	refusal := 0
	s.look(func() { refusal = s.refusal })
	if refusal != 0 {
		answer := http.Response{StatusCode: refusal, ProtoMajor: 1, ProtoMinor: 1, Request: request, Close: true}
		return nil, answer.Write(wire)
	}
	c.request = request
	upgrader := websocket.Upgrader{
		Subprotocols: websocket.Subprotocols(request),
		CheckOrigin:  func(*http.Request) bool { return true }, // the plugin is no browser
	}
	c.conn, err = upgrader.Upgrade(&hijacked{wire, reader, make(http.Header)}, request, nil)
	if err != nil {
		return nil, err
	}
	c.conn.SetCloseHandler(c.closed)
	return c.conn, nil
}

// hijacked is an http.ResponseWriter of a bare connection, as a handshake needs it.
type hijacked struct {
	wire   net.Conn
	reader *bufio.Reader
	header http.Header
}

// Header implements http.ResponseWriter.
func (h *hijacked) Header() http.Header { return h.header }

// WriteHeader implements http.ResponseWriter, for a handshake that is none.
func (h *hijacked) WriteHeader(status int) {
	_ = (&http.Response{StatusCode: status, ProtoMajor: 1, ProtoMinor: 1, Close: true}).Write(h.wire)
}

// Write implements http.ResponseWriter.
func (h *hijacked) Write(p []byte) (int, error) { return len(p), nil }

// Hijack implements http.Hijacker.
func (h *hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.wire, bufio.NewReadWriter(h.reader, bufio.NewWriter(h.wire)), nil
}
