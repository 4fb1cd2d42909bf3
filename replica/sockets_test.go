package replica_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/pluginhost/pluginhost/replica"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/journal"
)

const noConnection = "connection not found"

func say(id, text string) journal.Command {
	return journal.Command{Do: "text", ID: []byte(id), Text: text}
}

// reaches sends on a connection from each of so many replicas.
func (p *peer) reaches(s *stateful, id string, replicas int) {
	s.t.Helper()
	asked := map[string]bool{}
	for n := 0; len(asked) < replicas; n++ {
		text := fmt.Sprint("hello ", n)
		asked[s.doWhere(say(id, text))] = true
		p.hears(s.t, text)
	}
}

// What a plugin does with its connections, on two replicas.
func TestSockets(t *testing.T) {
	t.Parallel()
	s := newStateful(t, nil)
	first, second := s.start(), s.start()
	part := func(name string, test func(t *testing.T, s *stateful, g *gateway)) {
		t.Run(name, func(t *testing.T) { test(t, s.in(t), newGateway(t)) })
	}
	part("a plugin talks to a server", func(t *testing.T, s *stateful, g *gateway) {
		id := "gateway:1\xff"
		if r := s.do(journal.Command{Do: "connect", ID: []byte(id), URL: g.address() + "/?v=10", Headers: map[string]string{"Authorization": "secret"}}); string(r.ID) != id {
			t.Errorf("the id is %q", r.ID)
		}
		p := g.accept(t)
		if p.header.Get("Authorization") != "secret" || p.query != "v=10" {
			t.Error("the header or the query did not arrive")
		}
		p.reaches(s, id, 2)
		s.do(journal.Command{Do: "binary", ID: []byte(id), Payload: []byte("\x00\xff")})
		p.hears(t, "\x00\xff")
		p.says(t, "hi")
		if err := p.WriteMessage(websocket.BinaryMessage, []byte("\x00\xff")); err != nil {
			t.Fatal(err)
		}
		if text := s.journal.AwaitAbout(t, "text", id, 1)[0]; string(text.Payload) != "hi" {
			t.Errorf("%+v", text)
		}
		if binary := s.journal.AwaitAbout(t, "binary", id, 1)[0]; string(binary.Payload) != "\x00\xff" {
			t.Errorf("%+v", binary)
		}
		s.do(journal.Command{Do: "close", ID: []byte(id)})
		s.finals(id)
	})
	part("messages arrive in their order", testOrder)
	part("a slow callback holds up its own connection alone", testBackPressure)
	part("the end is told once", testEnds)
	part("a connection takes the place of another", testReplacedSocket)
	part("a callback can open its connection again", testConnectInCallback)
	part("replicas connect one id at the same moment", testSimultaneousConnects)
	part("what cannot be connected says why", testFailingConnects)
	part("ids are any bytes", func(t *testing.T, s *stateful, g *gateway) {
		for _, id := range []string{"a:b:c", "a\u200bb", "\x00\xff *.>", strings.Repeat("x", 16<<10)} {
			p, _ := g.open(s, id)
			p.reaches(s, id, 2)
			p.says(t, "hi")
			s.journal.AwaitAbout(t, "text", id, 1)
			p.closes(t, 1000, "")
			if finals := s.finals(id); len(finals) != 1 {
				t.Errorf("%.20q: %+v", id, finals)
			}
		}
	})
	part("a made id has ten characters", func(t *testing.T, s *stateful, g *gateway) {
		id := string(s.do(journal.Command{Do: "connect", URL: g.address()}).ID)
		if len(id) != 10 {
			t.Errorf("the id is %q", id)
		}
		g.accept(t).reaches(s, id, 2)
	})
	part("a new generation goes on with its connections", func(t *testing.T, s *stateful, g *gateway) {
		p := g.openOn(s, "kept", first.ID())
		other := journal.Start(t, nil)
		config := first.Config()
		config.PluginConfig = map[string]map[string]string{"p": {"journal": other.URL()}}
		if _, err := first.Reconfigure(t.Context(), config); err != nil {
			t.Fatal(err)
		}
		p.says(t, "hi")
		other.AwaitAbout(t, "text", "kept", 1)
		p.reaches(s, "kept", 2)
		if texts := s.journal.About("text", "kept"); len(texts) > 0 {
			t.Error("the former generation is called")
		}
		config.PluginConfig = map[string]map[string]string{"p": {"journal": s.journal.URL()}}
		if _, err := first.Reconfigure(t.Context(), config); err != nil {
			t.Fatal(err)
		}
		p.closes(t, 1000, "")
		if finals := s.finals("kept"); len(finals) != 1 {
			t.Errorf("%+v", finals)
		}
	})
	part("who drains leaves the end to others", func(t *testing.T, s *stateful, g *gateway) {
		third := s.start()
		p := g.openOn(s, "drained", third.ID())
		if err := third.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if code, _ := p.end(t); code != websocket.CloseGoingAway {
			t.Errorf("the server is told %d", code)
		}
		if finals := s.finals("drained"); len(finals) != 1 || finals[0].Event != "close" || finals[0].Code != websocket.CloseGoingAway {
			t.Errorf("%+v", finals)
		}
	})
	part("without the plugin nothing stays open", func(t *testing.T, s *stateful, g *gateway) {
		p, _ := g.open(s, "removed")
		testenv.RemovePlugin(t, s.folder, "p")
		for _, r := range []*replica.Replica{first, second} {
			if err := r.Refresh(t.Context(), "p"); err != nil {
				t.Error(err)
			}
		}
		if code, _ := p.end(t); code != websocket.CloseGoingAway {
			t.Errorf("the server is told %d", code)
		}
	})
}

func testOrder(t *testing.T, s *stateful, g *gateway) {
	const count = 300
	p, _ := g.open(s, "order")
	for i := range count {
		kind := websocket.TextMessage
		if i%3 == 0 {
			kind = websocket.BinaryMessage
		}
		if err := p.WriteMessage(kind, []byte(strconv.Itoa(i))); err != nil {
			t.Fatal(err)
		}
	}
	p.closes(t, 1000, "")
	if finals := s.finals("order"); len(finals) != 1 {
		t.Errorf("%+v", finals)
	}
	next := 0
	for _, event := range s.journal.Events() {
		switch {
		case string(event.ID) != "order":
		case event.Event == "close":
			if next != count {
				t.Errorf("the end is told after %d messages", next)
			}
		default:
			if string(event.Payload) != strconv.Itoa(next) || (event.Event == "binary") != (next%3 == 0) {
				t.Fatalf("%s %q comes in the place of %d", event.Event, event.Payload, next)
			}
			next++
		}
	}
}

func testBackPressure(t *testing.T, s *stateful, g *gateway) {
	// More than sockets keep.
	const count, size = 24, 800_000
	release := s.journal.Hold(t, "text", "slow")
	slow, owner := g.open(s, "slow")
	quick := g.openOn(s, "quick", owner)
	written := make(chan error, 1)
	go func() {
		for i := range count {
			if err := slow.WriteMessage(websocket.TextMessage, []byte(strconv.Itoa(i)+strings.Repeat(" ", size))); err != nil {
				written <- err
				return
			}
		}
		written <- nil
	}()
	s.journal.AwaitAbout(t, "text", "slow", 1)
	for i := range 50 {
		quick.says(t, strconv.Itoa(i))
	}
	for i, event := range s.journal.AwaitAbout(t, "text", "quick", 50) {
		if string(event.Payload) != strconv.Itoa(i) {
			t.Errorf("%q comes in the place of %d", event.Payload, i)
		}
	}
	select {
	case err := <-written:
		t.Errorf("the server could send everything: %v", err)
		written <- err
	default:
	}
	if texts := s.journal.About("text", "slow"); len(texts) != 1 {
		t.Errorf("%d callbacks of one connection at once", len(texts))
	}
	s.do(say("slow", "still there")) // sending does not wait for it
	slow.hears(t, "still there")
	release()
	if err := <-written; err != nil {
		t.Error(err)
	}
	for i, event := range s.journal.AwaitAbout(t, "text", "slow", count) {
		if strings.TrimSpace(string(event.Payload)) != strconv.Itoa(i) {
			t.Errorf("%.10q comes in the place of %d", event.Payload, i)
		}
	}
	for _, p := range []*peer{slow, quick} {
		p.closes(t, 1000, "")
	}
	s.finals("slow")
	s.finals("quick")
}

func testEnds(t *testing.T, s *stateful, g *gateway) {
	own := journal.Command{Do: "close", Code: 4000, Text: "bye"}
	// closeFrom has a replica close connections until it is, or is not, their owner.
	closeFrom := func(owners bool) func(t *testing.T, id string) string {
		return func(t *testing.T, id string) string {
			for n := 0; ; n++ {
				own.ID = fmt.Append(nil, id, n)
				p, owner := g.open(s.in(t), string(own.ID))
				closer := s.in(t).doWhere(own)
				if code, reason := p.end(t); code != 4000 || reason != "bye" {
					t.Errorf("the server is told %d %q", code, reason)
				}
				if (closer == owner) == owners {
					return string(own.ID)
				}
			}
		}
	}
	server := func(end func(t *testing.T, p *peer)) func(t *testing.T, id string) string {
		return func(t *testing.T, id string) string {
			p, _ := g.open(s.in(t), id)
			end(t, p)
			return id
		}
	}
	for _, test := range []struct {
		what  string
		end   func(t *testing.T, id string) string
		event string
		code  int
		text  string
	}{
		{"a close frame of the server", server(func(t *testing.T, p *peer) { p.closes(t, 4001, "away") }), "close", 4001, "away"},
		{"a close frame without a code", server(func(t *testing.T, p *peer) { p.closes(t, websocket.CloseNoStatusReceived, "") }), "close", 1005, ""},
		{"a server that crashes", server(func(t *testing.T, p *peer) { p.resets(t) }), "error", 0, "reset"},
		{"a server that leaves without a word", server(func(_ *testing.T, p *peer) { _ = p.Close() }), "error", 0, "without a close frame"},
		{"a close by the plugin on the owner", closeFrom(true), "close", 4000, "bye"},
		{"a close by the plugin on another replica", closeFrom(false), "close", 4000, "bye"},
	} {
		t.Run(test.what, func(t *testing.T) {
			id := test.end(t, test.what)
			s := s.in(t)
			finals := s.finals(id)
			if len(finals) != 1 || finals[0].Event != test.event || finals[0].Code != test.code || !strings.Contains(finals[0].Text, test.text) {
				t.Errorf("%+v", finals)
			}
			for range 4 { // on either replica
				if text := s.fails(say(id, "hello")); text != noConnection {
					t.Errorf("a message is refused with %q", text)
				}
				if text := s.fails(journal.Command{Do: "close", ID: []byte(id)}); text != noConnection {
					t.Errorf("another close is refused with %q", text)
				}
			}
		})
	}
}

// testReplacedSocket connects one id again and again, on whichever replica. The
// server takes a connection only when the one before is closed.
func testReplacedSocket(t *testing.T, s *stateful, g *gateway) {
	var before atomic.Pointer[peer]
	g.admit = func(_ http.ResponseWriter, r *http.Request) bool {
		former := before.Load()
		if former == nil {
			return true
		}
		select {
		case <-former.over:
			return true
		case <-r.Context().Done():
			return false
		}
	}
	const id = "replaced"
	p, owner := g.open(s, id)
	for same, other := 0, 0; same < 3 || other < 3; {
		before.Store(p)
		next, owns := g.open(s, id)
		if code, _ := p.end(t); code != websocket.CloseNormalClosure {
			t.Errorf("the server is told %d", code)
		}
		next.reaches(s, id, 2)
		if owns == owner {
			same++
		} else {
			other++
		}
		p, owner = next, owns
	}
	g.admit = nil
	if record := s.awaitSocket(id, isThere); record.Replica != owner || record.Final != nil {
		t.Errorf("the record is %+v", record)
	}
	p.says(t, "hi")
	s.journal.AwaitAbout(t, "text", id, 1)
	s.do(journal.Command{Do: "close", ID: []byte(id)})
	if finals := s.finals(id); len(finals) != 1 || finals[0].Event != "close" {
		t.Errorf("%+v", finals)
	}
}

// testConnectInCallback opens a connection under its own id in each of its callbacks,
// which goes on while the new one is used.
func testConnectInCallback(t *testing.T, s *stateful, g *gateway) {
	for _, test := range []struct {
		callback string
		cause    func(t *testing.T, p *peer)
	}{
		{"text", func(t *testing.T, p *peer) { p.says(t, "connect again") }},
		{"close", func(t *testing.T, p *peer) { p.closes(t, 4000, "") }},
		{"error", func(t *testing.T, p *peer) { p.resets(t) }},
	} {
		t.Run("on "+test.callback, func(t *testing.T) {
			s := s.in(t)
			id := "again on " + test.callback
			var first atomic.Bool
			s.journal.On(id, func(e journal.Event) ([]journal.Command, error) {
				if e.Event == test.callback && first.CompareAndSwap(false, true) {
					return []journal.Command{{Do: "connect", ID: []byte(id), URL: g.address()}}, nil
				}
				return nil, nil
			})
			release := s.journal.Hold(t, "done", id)
			former, _ := g.open(s, id)
			test.cause(t, former)
			next := g.accept(t)
			if result := s.journal.AwaitAbout(t, "done", id, 1)[0].Results[0]; !result.OK {
				t.Fatalf("%+v", result)
			}
			for range 10 {
				next.reaches(s, id, 2)
			}
			texts := len(s.journal.About("text", id))
			next.says(t, "on the new one")
			s.journal.AwaitAbout(t, "text", id, texts+1)
			release()
			before := len(s.journal.About("close", id)) + len(s.journal.About("error", id))
			next.reaches(s, id, 2)
			next.closes(t, 4002, "")
			if finals := s.finals(id); len(finals) != before+1 {
				t.Errorf("%+v", finals)
			}
			if s.log.has("WebSocket callback failed", id) {
				t.Error("the callback is cut off")
			}
		})
	}
}

// testSimultaneousConnects connects ids twice at the same moment. Whoever wins has
// the one connection that stays.
func testSimultaneousConnects(t *testing.T, s *stateful, g *gateway) {
	for n, apart := 0, 0; apart < 25; n++ {
		id := fmt.Sprint("at once ", n)
		type owned struct {
			on  string
			err error
		}
		owners := make(chan owned, 2)
		for range 2 {
			go func() {
				on, err := s.tryWhere(journal.Command{Do: "connect", ID: []byte(id), URL: g.address()})
				owners <- owned{on, err}
			}()
		}
		one, two := <-owners, <-owners
		if one.err != nil || two.err != nil {
			t.Fatal(one.err, two.err)
		}
		if one.on != two.on {
			apart++
		}
		lives, other := g.accept(t), g.accept(t)
		select {
		case <-lives.over:
			lives, other = other, lives
		case <-other.over:
		}
		other.end(t)
		lives.reaches(s, id, 2)
		if record := s.awaitSocket(id, isThere); record.Final != nil || record.Replica != one.on && record.Replica != two.on {
			t.Errorf("the record is %+v", record)
		}
		lives.closes(t, 1000, "")
		if finals := s.finals(id); len(finals) != 1 {
			t.Errorf("%+v", finals)
		}
	}
}

func testFailingConnects(t *testing.T, s *stateful, g *gateway) {
	g.admit = func(w http.ResponseWriter, _ *http.Request) bool {
		http.NotFound(w, nil)
		return false
	}
	closed := newGateway(t)
	closed.Close()
	for name, test := range map[string]struct{ url, id, want string }{
		"nobody listens":       {closed.address(), "fails", "failed to connect to WebSocket server: "},
		"no WebSocket there":   {g.address(), "fails", "the server answered 404 Not Found"},
		"another host":         {"ws://192.0.2.1/", "fails", "Connection blocked by plugin permissions: "},
		"another scheme":       {g.URL, "fails", "Connection blocked by plugin permissions: "},
		"no URL":               {"://", "fails", "Connection blocked by plugin permissions: "},
		"an empty URL":         {"", "fails", "Connection blocked by plugin permissions: "},
		"an id that is a book": {g.address(), strings.Repeat("x", 16<<10+1), "connection id of 16385 bytes is over the limit of 16384 bytes"},
	} {
		if text := s.fails(journal.Command{Do: "connect", ID: []byte(test.id), URL: test.url}); !strings.Contains(text, test.want) {
			t.Errorf("%s: %q, want %q", name, text, test.want)
		}
		if text := s.fails(say(test.id, "hello")); text != noConnection {
			t.Errorf("%s: a message is refused with %q", name, text)
		}
	}
	s.awaitSocket("fails", isNone)
}
