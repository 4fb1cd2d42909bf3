package natswire

import (
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

// dialWebSocket connects to a server at an address over WebSocket.
func (d *dialer) dialWebSocket(address string, over time.Time) (net.Conn, error) {
	target := url.URL{Scheme: "ws", Host: address}
	// Servers of a cluster that are told later are reached in the same way.
	at := max(0, slices.IndexFunc(d.servers, func(u *url.URL) bool { return u.Host == address }))
	if len(d.servers) > 0 {
		target.Path, target.RawQuery = d.servers[at].Path, d.servers[at].RawQuery
	}
	shake := websocket.Dialer{
		HandshakeTimeout: time.Until(over),
		NetDial:          func(network, address string) (net.Conn, error) { return d.dialHost(network, address, over) },
	}
	if d.wantsTLS() {
		target.Scheme = "wss"
		var err error
		if shake.TLSClientConfig, err = d.tlsConfig(address); err != nil {
			return nil, err
		}
	}
	ws, response, err := shake.Dial(target.String(), nil)
	if err != nil {
		if response != nil {
			return nil, &handshakeError{err, response.Status}
		}
		return nil, err
	}
	return &webSocket{Conn: ws.NetConn(), ws: ws}, nil
}

// handshakeError is a server that refuses a WebSocket.
type handshakeError struct {
	err    error
	status string
}

// Error implements error.
func (e *handshakeError) Error() string {
	return strings.Join([]string{e.err.Error(), e.status}, ": ")
}

// Unwrap returns what gorilla/websocket says.
func (e *handshakeError) Unwrap() error { return e.err }

// webSocket is the stream of the protocol in the messages of a WebSocket.
type webSocket struct {
	net.Conn // for addresses and deadlines
	ws       *websocket.Conn
	message  io.Reader // nil between messages
}

// Read implements net.Conn.
func (w *webSocket) Read(p []byte) (int, error) {
	for {
		if w.message == nil {
			var err error
			if _, w.message, err = w.ws.NextReader(); err != nil {
				return 0, err
			}
		}
		n, err := w.message.Read(p)
		if err == io.EOF {
			w.message, err = nil, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// Write implements net.Conn.
func (w *webSocket) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if err := w.ws.WriteMessage(websocket.BinaryMessage, p); err != nil {
		return 0, err
	}
	return len(p), nil
}
