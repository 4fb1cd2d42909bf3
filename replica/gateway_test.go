package replica_test

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/pluginhost/pluginhost/testenv/journal"
)

// gateway is a WebSocket server.
type gateway struct {
	*httptest.Server
	accepted chan *peer
	// admit, where there is one, is asked before a connection is accepted.
	admit func(w http.ResponseWriter, r *http.Request) bool
}

// peer is the server's side of a connection.
type peer struct {
	*websocket.Conn
	header   http.Header
	query    string
	messages chan string   // what came
	over     chan struct{} // closed when nothing more comes
	why      error         // why; set before that
}

func newGateway(t *testing.T) *gateway {
	t.Helper()
	g := &gateway{accepted: make(chan *peer, 1000)}
	var reading sync.WaitGroup
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g.admit != nil && !g.admit(w, r) {
			return
		}
		upgrader := websocket.Upgrader{}
		conn, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		p := &peer{Conn: conn, header: r.Header, query: r.URL.RawQuery, messages: make(chan string, 1000), over: make(chan struct{})}
		g.accepted <- p
		reading.Go(func() {
			defer close(p.over)
			for {
				_, data, err := conn.ReadMessage()
				if err != nil {
					p.why = err
					return
				}
				p.messages <- string(data)
			}
		})
	}))
	t.Cleanup(func() {
		g.Close()
		for {
			select {
			case p := <-g.accepted:
				_ = p.Close()
				continue
			default:
			}
			break
		}
	})
	return g
}

func (g *gateway) address() string { return "ws" + strings.TrimPrefix(g.URL, "http") }

func (g *gateway) accept(t *testing.T) *peer {
	t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case p := <-g.accepted:
		t.Cleanup(func() { _ = p.Close() })
		return p
	case <-timeout.C:
		t.Fatal("nobody connects")
		return nil
	}
}

// open has the plugin connect, and returns the server's side and the owner.
func (g *gateway) open(s *stateful, id string) (p *peer, owner string) {
	s.t.Helper()
	owner = s.doWhere(journal.Command{Do: "connect", ID: []byte(id), URL: g.address()})
	return g.accept(s.t), owner
}

// openOn has the plugin connect until the connection is a replica's. Those before
// are replaced.
func (g *gateway) openOn(s *stateful, id, replica string) *peer {
	s.t.Helper()
	for {
		if p, owner := g.open(s, id); owner == replica {
			return p
		}
	}
}

func (p *peer) says(t *testing.T, text string) {
	t.Helper()
	if err := p.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

func (p *peer) hears(t *testing.T, want string) {
	t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case got := <-p.messages:
		if got != want {
			t.Errorf("the server hears %q, want %q", got, want)
		}
	case <-timeout.C:
		t.Fatalf("the server does not hear %q", want)
	}
}

// end waits for the end of the connection and returns the code of the close frame;
// 1006 is none.
func (p *peer) end(t *testing.T) (code int, reason string) {
	t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case <-p.over:
	case <-timeout.C:
		t.Fatal("the connection does not end")
	}
	if frame := (&websocket.CloseError{}); errors.As(p.why, &frame) {
		return frame.Code, frame.Text
	}
	return websocket.CloseAbnormalClosure, ""
}

// closes closes it with a close frame.
func (p *peer) closes(t *testing.T, code int, reason string) {
	t.Helper()
	if err := p.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
}

// resets ends the TCP connection as a crash does.
func (p *peer) resets(t *testing.T) {
	t.Helper()
	if err := p.NetConn().(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
}
