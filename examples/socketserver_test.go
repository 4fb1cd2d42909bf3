package examples_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// patience is how long an event is waited for.
const patience = time.Minute

// socketServer is a WebSocket server that keeps all that happens to it.
type socketServer struct {
	t      *testing.T
	server *httptest.Server
	// opened is called for each connection and heard for each message; they may send.
	opened func(*peer)
	heard  func(*peer, map[string]any)

	mu      sync.Mutex
	away    bool // handshakes are refused
	refused int
	peers   []*peer
	changed chan struct{} // closed at the next change
}

// peer is a connection to the server, from its first message to its end.
type peer struct {
	server   *socketServer
	conn     *websocket.Conn
	writing  sync.Mutex
	messages []map[string]any
	ended    bool
	code     int // of the other side's close frame
}

// startSocketServer begins a server, which ends with the test.
func startSocketServer(t *testing.T, opened func(*peer), heard func(*peer, map[string]any)) *socketServer {
	t.Helper()
	s := &socketServer{t: t, opened: opened, heard: heard, changed: make(chan struct{})}
	s.server = httptest.NewServer(s)
	t.Cleanup(func() {
		s.change(func() { s.away = true })
		for _, p := range s.all() {
			_ = p.conn.Close()
		}
		s.server.Close()
		s.await("the end of all connections", func() bool { return s.open() == 0 })
	})
	return s
}

func (s *socketServer) url() string { return "ws" + strings.TrimPrefix(s.server.URL, "http") }

// ServeHTTP implements http.Handler.
func (s *socketServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var away bool
	s.change(func() {
		if away = s.away; away {
			s.refused++
		}
	})
	if away {
		http.Error(w, "away", http.StatusServiceUnavailable)
		return
	}
	conn, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
	if err != nil {
		return
	}
	p := &peer{server: s, conn: conn}
	s.change(func() { s.peers = append(s.peers, p) })
	s.opened(p)
	p.read()
}

// change changes what is waited for.
func (s *socketServer) change(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	close(s.changed)
	s.changed = make(chan struct{})
}

// await waits until what has happened is enough; mu is held while that is looked at.
func (s *socketServer) await(what string, enough func() bool) {
	s.t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		s.mu.Lock()
		done, changed := enough(), s.changed
		s.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-timeout.C:
			s.mu.Lock()
			defer s.mu.Unlock()
			for i, p := range s.peers {
				s.t.Logf("connection %d: ended %v, code %d, %v", i+1, p.ended, p.code, p.messages)
			}
			s.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// connection waits for the nth connection, the first being 1.
func (s *socketServer) connection(n int) *peer {
	s.t.Helper()
	s.await("another connection", func() bool { return len(s.peers) >= n })
	return s.all()[n-1]
}

func (s *socketServer) all() []*peer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*peer(nil), s.peers...)
}

// open counts the connections that have not ended; mu is held.
func (s *socketServer) open() int {
	open := 0
	for _, p := range s.peers {
		if !p.ended {
			open++
		}
	}
	return open
}

// wantConnections fails unless there were so many, and one is left.
func (s *socketServer) wantConnections(total int) {
	s.t.Helper()
	s.await("the end of all connections but one", func() bool { return s.open() == 1 })
	if n := len(s.all()); n != total {
		s.t.Errorf("there were %d connections, want %d", n, total)
	}
}

// read keeps what arrives, until the connection has ended.
func (p *peer) read() {
	for {
		_, body, err := p.conn.ReadMessage()
		if err != nil {
			var closed *websocket.CloseError
			p.server.change(func() {
				if p.ended = true; errors.As(err, &closed) {
					p.code = closed.Code
				}
			})
			_ = p.conn.Close()
			return
		}
		var message map[string]any
		if err := json.Unmarshal(body, &message); err != nil {
			p.server.t.Errorf("message %q: %v", body, err)
			continue
		}
		p.server.change(func() { p.messages = append(p.messages, message) })
		p.server.heard(p, message)
	}
}

func (p *peer) send(message any) {
	p.writing.Lock()
	defer p.writing.Unlock()
	_ = p.conn.WriteJSON(message) // where it does not arrive, something is missed
}

// close sends a close frame; the other side's ends the connection.
func (p *peer) close(code int, reason string) {
	_ = p.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), time.Now().Add(patience))
}

// of are the messages of a kind; mu is held.
func (p *peer) of(key string, value any) []map[string]any {
	var found []map[string]any
	for _, message := range p.messages {
		if message[key] == value {
			found = append(found, message)
		}
	}
	return found
}

// awaitCount waits for so many messages of a kind, and returns those.
func (p *peer) awaitCount(key string, value any, count int) []map[string]any {
	p.server.t.Helper()
	p.server.await(fmt.Sprintf("%d messages with %s %v", count, key, value), func() bool { return len(p.of(key, value)) >= count })
	p.server.mu.Lock()
	defer p.server.mu.Unlock()
	return p.of(key, value)
}

// awaitEnd waits for the end and returns the code of the other side's close frame;
// 1006 is none.
func (p *peer) awaitEnd() int {
	p.server.t.Helper()
	p.server.await("the end of a connection", func() bool { return p.ended })
	return p.code
}
