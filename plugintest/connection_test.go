package plugintest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/plugintest"
	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/subjects"
)

const feedAddress = "wss://example.com/feed"

// connected is the guest stateful with a connection called feed.
func connected(t testing.TB) (*stateful, *plugintest.Connection) {
	t.Helper()
	s := newStateful(t)
	server := s.WebSocket(feedAddress)
	s.do(t, command{Do: "connect", ID: []byte("feed"), URL: feedAddress + "?token=x", Headers: map[string]string{"Authorization": "Bearer sesame"}})
	return s, server.Connection(t.Context())
}

func TestMessagesHaveBeenHandledWhenTheyAreSent(t *testing.T) {
	t.Parallel()
	s, conn := connected(t)
	for i := range 3 {
		if err := conn.SendText(t.Context(), fmt.Sprint("news ", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := conn.SendBinary(t.Context(), []byte{'b'}); err != nil {
		t.Fatal(err)
	}
	s.wantEvents(t, "text feed news 0", "text feed news 1", "text feed news 2", "binary feed b")
}

func TestTheHandshakeIsKept(t *testing.T) {
	t.Parallel()
	_, conn := connected(t)
	r := conn.Request()
	if conn.ID() != "feed" || r.Host != "example.com" || r.URL.String() != "/feed?token=x" || r.Header.Get("Authorization") != "Bearer sesame" {
		t.Errorf("got %q, %+v", conn.ID(), r)
	}
}

func TestWhatThePluginSendsIsThereWhenItGoesOn(t *testing.T) {
	t.Parallel()
	s, conn := connected(t)
	for i := range 20 {
		s.do(t, command{Do: "text", ID: []byte("feed"), Text: fmt.Sprint(i)})
		if got := conn.Received(); len(got) != i+1 || got[i].Text() != fmt.Sprint(i) || got[i].Binary {
			t.Fatalf("got %v", got)
		}
	}
	s.do(t, command{Do: "binary", ID: []byte("feed"), Payload: []byte{1, 2}})
	for i := range 20 {
		if message := conn.Await(t.Context()); message.Text() != fmt.Sprint(i) {
			t.Errorf("got %v as number %d", message, i)
		}
	}
	if message := conn.Await(t.Context()); !message.Binary || len(message.Data) != 2 {
		t.Errorf("got %v", message)
	}
}

func TestACallbackCanAnswer(t *testing.T) {
	t.Parallel()
	s, conn := connected(t)
	s.answers["text"] = []command{{Do: "text", ID: []byte("feed"), Text: "pong"}}
	if err := conn.SendText(t.Context(), "ping"); err != nil {
		t.Fatal(err)
	}
	if got := conn.Received(); len(got) != 1 || got[0].Text() != "pong" {
		t.Errorf("got %v", got)
	}
}

func TestAnErrorOfACallbackIsReturnedAndTheConnectionGoesOn(t *testing.T) {
	t.Parallel()
	s, conn := connected(t)
	s.refuse["text"] = "no luck"
	if err := conn.SendText(t.Context(), "a"); !errors.Is(err, subjects.ErrPlugin) || !strings.Contains(err.Error(), "no luck") {
		t.Errorf("got %v", err)
	}
	if err := conn.SendBinary(t.Context(), nil); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestTheServerCloses(t *testing.T) {
	t.Parallel()
	s, conn := connected(t)
	if err := conn.Close(t.Context(), 1012, "restarting"); err != nil {
		t.Fatal(err)
	}
	s.wantEvents(t, "close feed restarting 1012")
	if r := do(t, s.Host, command{Do: "text", ID: []byte("feed"), Text: "x"}); r.Error != "connection not found" {
		t.Errorf("to send then: %+v", r)
	}
	if err := conn.Close(t.Context(), 1000, ""); err == nil {
		t.Error("it can be closed twice")
	}
	if err := conn.SendText(t.Context(), "x"); err == nil {
		t.Error("it can be sent to")
	}
}

func TestACloseFrameCanBeWithoutACode(t *testing.T) {
	t.Parallel()
	s, conn := connected(t)
	if err := conn.Close(t.Context(), 1005, ""); err != nil {
		t.Fatal(err)
	}
	s.wantEvents(t, "close feed 1005")
}

func TestTheConnectionFails(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		why  error
		want string
	}{
		{errors.New("connection reset by peer"), "error feed connection reset by peer"},
		{nil, "error feed the server left without a close frame: unexpected EOF"},
	} {
		s, conn := connected(t)
		if err := conn.Fail(t.Context(), test.why); err != nil {
			t.Fatal(err)
		}
		s.wantEvents(t, test.want)
	}
}

func TestAnErrorOfTheLastCallbackIsReturned(t *testing.T) {
	t.Parallel()
	s, conn := connected(t)
	s.refuse["close"] = "no luck"
	if err := conn.Close(t.Context(), 1000, ""); !errors.Is(err, subjects.ErrPlugin) || !strings.Contains(err.Error(), "no luck") {
		t.Errorf("got %v", err)
	}
}

func TestThePluginCloses(t *testing.T) {
	t.Parallel()
	s, conn := connected(t)
	s.do(t, command{Do: "close", ID: []byte("feed"), Code: 4000, Text: "enough"})
	s.wantEvents(t, "close feed enough 4000") // without waiting
	if code, reason := conn.AwaitClose(t.Context()); code != 4000 || reason != "enough" {
		t.Errorf("closed with %d %q", code, reason)
	}
}

func TestThePluginClosesInACallback(t *testing.T) {
	t.Parallel()
	s, conn := connected(t)
	s.answers["text"] = []command{{Do: "close", ID: []byte("feed"), Code: 4000, Text: "enough"}}
	if err := conn.SendText(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	s.wantEvents(t, "text feed x", "done feed", "close feed enough 4000")
}

func TestAReplacedConnectionIsClosedWithoutAWordToThePlugin(t *testing.T) {
	t.Parallel()
	s, conn := connected(t)
	s.do(t, command{Do: "connect", ID: []byte("feed"), URL: feedAddress})
	if code, _ := conn.AwaitClose(t.Context()); code != 1000 {
		t.Errorf("closed with %d", code)
	}
	next := s.WebSocket(feedAddress).Connection(t.Context())
	if err := next.SendText(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	s.wantEvents(t, "text feed x")
}

func TestAnOnCloseCanConnectAgain(t *testing.T) {
	t.Parallel()
	s, conn := connected(t)
	s.answers["close"] = []command{{Do: "connect", ID: []byte("feed"), URL: feedAddress}}
	if err := conn.Close(t.Context(), 1001, ""); err != nil {
		t.Fatal(err)
	}
	if err := s.WebSocket(feedAddress).Connection(t.Context()).SendText(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	s.wantEvents(t, "close feed 1001", "done feed", "text feed x")
}

func TestWhereThePluginCannotConnect(t *testing.T) {
	t.Parallel()
	s := newStateful(t)
	s.WebSocket("wss://evil.example.com/feed")
	s.WebSocket("ws://example.com/feed")
	s.WebSocket("wss://example.com/other")
	refusing := s.WebSocket("wss://other.example.com/")
	refusing.Refuse(503)
	for address, want := range map[string]string{
		"wss://evil.example.com/feed":   "Connection blocked by plugin permissions: ",
		"ws://example.com/feed":         "Connection blocked by plugin permissions: ",
		"wss://example.com/other":       "Connection blocked by plugin permissions: ",
		"https://example.com/feed":      "Connection blocked by plugin permissions: ",
		"wss://example.com/feed?x=1":    `failed to connect to WebSocket server: the test has no server at wss://example.com/feed: call Host.WebSocket("wss://example.com/feed")`,
		"wss://other.example.com/":      "failed to connect to WebSocket server: websocket: bad handshake: the server answered 503",
		"wss://other.example.com/other": "the test has no server",
	} {
		if r := do(t, s.Host, command{Do: "connect", ID: []byte("feed"), URL: address}); r.OK || !strings.Contains(r.Error, want) {
			t.Errorf("%s: got %+v, want %q", address, r, want)
		}
	}
	refusing.Refuse(0)
	s.do(t, command{Do: "connect", ID: []byte("feed"), URL: "wss://other.example.com"})
}

func TestAPluginHasAsManyConnectionsAsOnAHost(t *testing.T) {
	t.Parallel()
	s, _ := connected(t)
	for i := range 49 {
		s.do(t, command{Do: "connect", ID: fmt.Append(nil, i), URL: feedAddress})
	}
	if r := do(t, s.Host, command{Do: "connect", ID: []byte("one more"), URL: feedAddress}); !strings.Contains(r.Error, "the plugin has 50 connections, [WebSocket] MaxConnections is 50") {
		t.Errorf("got %+v", r)
	}
	s.do(t, command{Do: "connect", ID: []byte("feed"), URL: feedAddress})
}

func TestAFailedOnInitClosesWhatItHasOpened(t *testing.T) {
	t.Parallel()
	s := newStateful(t)
	server := s.WebSocket(feedAddress)
	s.answers["init"] = []command{{Do: "connect", ID: []byte("feed"), URL: feedAddress}, {Do: "nonsense"}}
	if err := s.Init(t.Context()); !errors.Is(err, subjects.ErrPlugin) {
		t.Fatalf("got %v", err)
	}
	conn := server.Connection(t.Context())
	if err := conn.SendText(t.Context(), "x"); err == nil {
		t.Error("the connection goes on")
	}
	s.wantEvents(t, "init ", "done ")
}

func TestCallbacksWaitForOnInit(t *testing.T) {
	t.Parallel()
	s := newStateful(t)
	server := s.WebSocket(feedAddress)
	s.answers["init"] = []command{{Do: "connect", ID: []byte("feed"), URL: feedAddress}}
	goOn := make(chan struct{})
	s.held["done"] = goOn // OnInit is not over before
	initialised := make(chan error, 1)
	go func() { initialised <- s.Init(t.Context()) }()
	conn := server.Connection(t.Context())
	soon, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := conn.SendText(soon, "early"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while OnInit runs: got %v", err)
	}
	close(goOn)
	if err := <-initialised; err != nil {
		t.Fatal(err)
	}
	if err := conn.SendText(t.Context(), "late"); err != nil {
		t.Fatal(err)
	}
	s.wantEvents(t, "init ", "done ", "text feed early", "text feed late")
}

func TestWaitingInVainFailsTheTest(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	for _, test := range []struct {
		name, want string
		wait       func(testing.TB)
	}{
		{"for a connection that was refused", "no connection to wss://example.com/feed: the last attempt: websocket: bad handshake", func(t testing.TB) {
			s := newStateful(t)
			server := s.WebSocket(feedAddress)
			server.Refuse(500)
			do(t, s.Host, command{Do: "connect", ID: []byte("feed"), URL: feedAddress})
			server.Connection(ctx)
		}},
		{"for another connection", "no connection to wss://example.com/feed: the plugin has not tried", func(t testing.TB) {
			s, _ := connected(t)
			s.WebSocket(feedAddress).Connection(ctx)
		}},
		{"for a message", `the plugin has sent nothing more over connection "feed"`, func(t testing.TB) {
			_, conn := connected(t)
			conn.Await(ctx)
		}},
		{"for the end", `the plugin has not closed connection "feed"`, func(t testing.TB) {
			_, conn := connected(t)
			conn.AwaitClose(ctx)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if says := fatal(t, test.wait); !strings.Contains(says, test.want) {
				t.Errorf("got %q, want %q", says, test.want)
			}
		})
	}
}

// A gateway that greets, and wants heartbeats.
func TestPresenceKeepsItsHeartbeats(t *testing.T) {
	t.Parallel()
	host := example(t, "presence")
	host.SetConfig("token_joe", "sesame")
	gateway := host.WebSocket("wss://gateway.example.com")
	request := &api.ScrobblerNowPlayingRequest{Username: "joe", Track: &api.TrackInfo{Name: "Sinnerman", Length: 622}}
	if _, err := host.Scrobbler().NowPlaying(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	conn := gateway.Connection(t.Context())
	if query := conn.Request().URL.Query(); query.Get("v") != "10" {
		t.Errorf("the query is %v", query)
	}
	say := func(text string) {
		t.Helper()
		if err := conn.SendText(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	say(`{"op":10,"d":{"heartbeat_interval":41000}}`)
	if identity := conn.Await(t.Context()).Text(); !strings.Contains(identity, `"token":"sesame"`) {
		t.Errorf("got %s", identity)
	}
	say(`{"op":0,"t":"READY","s":7,"d":{}}`)
	if shown := conn.Await(t.Context()).Text(); !strings.Contains(shown, `"details":"Sinnerman"`) {
		t.Errorf("got %s", shown)
	}
	for range 3 {
		advance(t, host, 41*time.Second)
		if beat := conn.Await(t.Context()).Text(); beat != `{"op":1,"d":7}` {
			t.Errorf("got %s", beat)
		}
		say(`{"op":11}`)
	}
	say(`{"op":7}`)
	if code, _ := conn.AwaitClose(t.Context()); code != 4000 {
		t.Errorf("closed with %d", code)
	}
	advance(t, host, 15*time.Second)
	gateway.Connection(t.Context())
}
