package websocket_test

import (
	"bufio"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	gorilla "github.com/gorilla/websocket"
)

// upgrade makes a handler that takes every WebSocket connection, and closes it when
// talk returns or the test ends.
func upgrade(t testing.TB, talk func(*gorilla.Conn, *http.Request)) http.Handler {
	var talking sync.WaitGroup
	t.Cleanup(talking.Wait)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		talking.Add(1)
		defer talking.Done()
		upgrader := gorilla.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
		conn, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return // the client left during the handshake
		}
		defer context.AfterFunc(t.Context(), func() { _ = conn.Close() })()
		defer func() { _ = conn.Close() }()
		talk(conn, r)
	})
}

// serve starts a WebSocket server and returns its URL.
func serve(t testing.TB, talk func(*gorilla.Conn, *http.Request)) string {
	t.Helper()
	server := httptest.NewServer(upgrade(t, talk))
	t.Cleanup(server.Close)
	return "ws" + strings.TrimPrefix(server.URL, "http")
}

// echo sends every message back until the connection ends.
func echo(conn *gorilla.Conn, _ *http.Request) {
	for {
		kind, data, err := conn.ReadMessage()
		if err != nil || conn.WriteMessage(kind, data) != nil {
			return
		}
	}
}

// drain reads until the connection ends, and returns the error that says how.
func drain(conn *gorilla.Conn) error {
	for {
		if _, _, err := conn.ReadMessage(); err != nil {
			return err
		}
	}
}

// peer is the server's side of a connection, byte by byte.
type peer struct {
	net.Conn
	in    *bufio.Reader
	ended <-chan struct{} // closed with the test
}

// serveRaw starts a server that speaks what talk makes it speak.
func serveRaw(t testing.TB, talk func(*peer)) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var talking sync.WaitGroup
	talking.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			talking.Go(func() {
				defer context.AfterFunc(t.Context(), func() { _ = conn.Close() })()
				defer func() { _ = conn.Close() }()
				talk(&peer{conn, bufio.NewReader(conn), t.Context().Done()})
			})
		}
	})
	t.Cleanup(func() { _ = listener.Close(); talking.Wait() })
	return "ws://" + listener.Addr().String()
}

// accept reads the client's part of the handshake and answers it, with more header
// lines behind if there are any.
func (p *peer) accept(lines ...string) bool {
	request, err := http.ReadRequest(p.in)
	if err != nil {
		return false
	}
	sum := sha1.Sum([]byte(request.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	answer := append([]string{
		"HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade",
		"Sec-WebSocket-Accept: " + base64.StdEncoding.EncodeToString(sum[:]),
	}, lines...)
	return p.say([]byte(strings.Join(answer, "\r\n") + "\r\n\r\n"))
}

func (p *peer) say(data ...[]byte) bool {
	for _, d := range data {
		if _, err := p.Write(d); err != nil {
			return false
		}
	}
	return true
}

// listen reads until the client leaves or sends a close frame, and returns the code of
// that, 0 for none, and how many pings came before.
func (p *peer) listen() (code, pings int) {
	for {
		var head [2]byte
		if _, err := io.ReadFull(p.in, head[:]); err != nil {
			return code, pings
		}
		size := int(head[1] & 0x7f)
		switch size {
		case 126:
			var long [2]byte
			_, _ = io.ReadFull(p.in, long[:])
			size = int(binary.BigEndian.Uint16(long[:]))
		case 127:
			var long [8]byte
			_, _ = io.ReadFull(p.in, long[:])
			size = int(binary.BigEndian.Uint64(long[:]))
		}
		data := make([]byte, 4+size) // the mask is first
		if _, err := io.ReadFull(p.in, data); err != nil {
			return code, pings
		}
		switch head[0] & 0xf {
		case gorilla.PingMessage:
			pings++
		case gorilla.CloseMessage:
			if size >= 2 {
				code = int(data[4]^data[0])<<8 | int(data[5]^data[1])
			}
			return code, pings
		}
	}
}

// frame makes a frame as a server sends it: first is its first byte.
func frame(first byte, data []byte) []byte {
	switch size := len(data); {
	case size > 0xffff:
		return append(binary.BigEndian.AppendUint64([]byte{first, 127}, uint64(size)), data...)
	case size > 125:
		return append(binary.BigEndian.AppendUint16([]byte{first, 126}, uint16(size)), data...)
	default:
		return append([]byte{first, byte(size)}, data...)
	}
}

// The first bytes of frames.
const (
	final        = 0x80
	continuation = 0x00
	text         = 0x01
	binaryData   = 0x02
	closeFrame   = 0x08
	ping         = 0x09
	pong         = 0x0a
)
