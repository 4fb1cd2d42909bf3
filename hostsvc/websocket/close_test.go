package websocket_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	gorilla "github.com/gorilla/websocket"

	"github.com/pluginhost/pluginhost/hostsvc/websocket"
)

func TestWhichCloseFramesCanBeSent(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		from, to int
		ok       bool
	}{
		{-1 << 31, -1, false},
		{1, 999, false},
		{1000, 1003, true},
		{1004, 1006, false},
		{1007, 1014, true},
		{1015, 2999, false},
		{3000, 4999, true},
		{5000, 70000, false},
		{1<<31 - 1, 1<<31 - 1, false},
	} {
		for code := test.from; code <= test.to; code += max(1, (test.to-test.from)/4096) {
			got, err := websocket.CheckClose(code, "")
			if (err == nil) != test.ok || test.ok && got != code {
				t.Fatalf("code %d: got %d, %v", code, got, err)
			}
		}
	}
	if code, err := websocket.CheckClose(0, ""); code != 1000 || err != nil {
		t.Errorf("code 0: got %d, %v", code, err)
	}
	for reason, want := range map[string]string{
		strings.Repeat("r", 123):         "",
		strings.Repeat("ü", 61) + "r":    "",
		strings.Repeat("r", 124):         "close reason of 124 bytes is over the limit of 123 bytes",
		strings.Repeat("ü", 62):          "close reason of 124 bytes is over the limit of 123 bytes",
		"\xff":                           "close reason is not UTF-8",
		strings.Repeat("ü", 61) + "\xc3": "close reason is not UTF-8",
	} {
		if _, err := websocket.CheckClose(1000, reason); err == nil && want != "" || err != nil && err.Error() != want {
			t.Errorf("reason %q: got %v", reason, err)
		}
	}
}

func TestACloseFrameOfTheServerEndsTheConnection(t *testing.T) {
	t.Parallel()
	payload := func(code int, reason string) []byte {
		return append([]byte{byte(code >> 8), byte(code)}, reason...)
	}
	for _, test := range []struct {
		payload  []byte
		want     websocket.End // Err is any error
		answered int           // the code of the answer, 0 for none
	}{
		{payload(1000, "bye"), websocket.End{Code: 1000, Reason: "bye"}, 1000},
		{payload(1001, ""), websocket.End{Code: 1001}, 1001},
		{payload(1011, strings.Repeat("ü", 61)), websocket.End{Code: 1011, Reason: strings.Repeat("ü", 61)}, 1011},
		{payload(4004, "Authentication failed."), websocket.End{Code: 4004, Reason: "Authentication failed."}, 4004},
		{nil, websocket.End{Code: 1005}, 0},
		{payload(0, ""), websocket.End{Err: errors.ErrUnsupported}, 1002},
		{payload(999, ""), websocket.End{Err: errors.ErrUnsupported}, 1002},
		{payload(1004, ""), websocket.End{Err: errors.ErrUnsupported}, 1002},
		{payload(1005, ""), websocket.End{Err: errors.ErrUnsupported}, 1002},
		{payload(1006, ""), websocket.End{Err: errors.ErrUnsupported}, 1002},
		{payload(1015, ""), websocket.End{Err: errors.ErrUnsupported}, 1002},
		{payload(2999, ""), websocket.End{Err: errors.ErrUnsupported}, 1002},
		{payload(5000, ""), websocket.End{Err: errors.ErrUnsupported}, 1002},
		{[]byte{3}, websocket.End{Err: errors.ErrUnsupported}, 1002},
		{payload(1000, "\xff"), websocket.End{Err: errors.ErrUnsupported}, 1002},
	} {
		t.Run(fmt.Sprintf("%x", test.payload), func(t *testing.T) {
			answered := make(chan int, 1)
			url := serveRaw(t, func(p *peer) {
				p.accept()
				p.say(frame(final|text, []byte("last")), frame(final|closeFrame, test.payload), frame(final|text, []byte("too late")), frame(final|closeFrame, []byte{3}))
				code, _ := p.listen()
				answered <- code
			})
			conn := run(t, dialled(t, anywhere(), url))
			end := await(t, "end", conn.end)
			if (end.Err != nil) != (test.want.Err != nil) || end.Err == nil && end != test.want {
				t.Errorf("got %+v", end)
			}
			if got := <-conn.messages; string(got.Data) != "last" || len(conn.messages) != 0 {
				t.Errorf("%q and %d more messages arrived", got.Data, len(conn.messages))
			}
			if got := await(t, "answer", answered); got != test.answered {
				t.Errorf("the server was answered %d", got)
			}
			if err := conn.Close(1000, ""); !errors.Is(err, websocket.ErrClosed) {
				t.Errorf("Close after the end: %v", err)
			}
			if err := conn.Send(t.Context(), websocket.Message{}); !errors.Is(err, websocket.ErrClosed) {
				t.Errorf("Send after the end: %v", err)
			}
		})
	}
}

func TestTheEndByCloseIsTheHostsOwn(t *testing.T) {
	t.Parallel()
	want := websocket.End{Code: 4000, Reason: "done", Own: true}
	for name, talk := range map[string]func(*peer){
		"answered":               func(p *peer) { p.listen(); p.say(frame(final|closeFrame, []byte{0x0f, 0xa0})) },
		"answered with another":  func(p *peer) { p.listen(); p.say(frame(final|closeFrame, []byte{0x03, 0xe9})) },
		"left without an answer": func(p *peer) { p.listen() },
		"answered with messages": func(p *peer) { p.listen(); p.say(frame(final|text, []byte("x")), frame(final|closeFrame, nil)) },
		"answered with an endless": func(p *peer) {
			for p.say(frame(final|binaryData, make([]byte, 1000))) {
			}
		},
		"answered with half a code": func(p *peer) { p.listen(); p.say(frame(final|closeFrame, []byte{3})) },
		"answered with garbage":     func(p *peer) { p.listen(); p.say([]byte("\xff\xff\xff")) },
		"not even read":             func(p *peer) { <-p.ended },
	} {
		t.Run(name, func(t *testing.T) {
			url := serveRaw(t, func(p *peer) {
				p.accept()
				talk(p)
			})
			conn := dialled(t, anywhere(), url)
			if err := conn.Close(4000, "done"); err != nil {
				t.Fatal(err)
			}
			if err := conn.Close(4000, "done"); !errors.Is(err, websocket.ErrClosed) {
				t.Errorf("closed again: %v", err)
			}
			if err := conn.Send(t.Context(), websocket.Message{}); !errors.Is(err, websocket.ErrClosed) {
				t.Errorf("sent behind: %v", err)
			}
			running := run(t, conn)
			if end := await(t, "end", running.end); end != want {
				t.Errorf("got %+v", end)
			}
			if n := len(running.messages); n != 0 {
				t.Errorf("%d messages arrived after Close", n)
			}
		})
	}
}

func TestAHandlerCanCloseItsConnection(t *testing.T) {
	t.Parallel()
	for _, result := range []error{nil, errors.New("an error, too")} {
		seen := make(chan error, 1)
		url := serve(t, func(conn *gorilla.Conn, _ *http.Request) {
			for range 3 {
				_ = conn.WriteMessage(gorilla.TextMessage, []byte("x"))
			}
			seen <- drain(conn)
		})
		conn := &running{Connection: dialled(t, anywhere(), url), end: make(chan websocket.End, 1)}
		handled := 0
		runWith(t, conn, func(websocket.Message) error {
			handled++
			if err := conn.Close(1000, "enough"); err != nil {
				t.Error(err)
			}
			return result
		})
		if end := await(t, "end", conn.end); end != (websocket.End{Code: 1000, Reason: "enough", Own: true}) {
			t.Errorf("got %+v", end)
		}
		var frame *gorilla.CloseError
		if err := await(t, "close frame", seen); !errors.As(err, &frame) || frame.Code != 1000 || frame.Text != "enough" {
			t.Errorf("the server saw %v", err)
		}
		if handled != 1 {
			t.Errorf("%d messages were handled", handled)
		}
	}
}

func TestANonsenseCloseLeavesTheConnectionAlone(t *testing.T) {
	t.Parallel()
	conn := run(t, dialled(t, anywhere(), serve(t, echo)))
	if err := conn.Close(1006, ""); err == nil || errors.Is(err, websocket.ErrClosed) {
		t.Errorf("got %v", err)
	}
	if err := conn.Send(t.Context(), websocket.Message{Data: []byte("hello")}); err != nil {
		t.Error(err)
	}
	await(t, "echo", conn.messages)
}

func TestCloseDoesNotWaitForAMessageThatIsStuck(t *testing.T) {
	t.Parallel()
	config := anywhere()
	config.WriteTimeout, config.MaxMessage = time.Hour, 64<<20
	begun := make(chan error, 1)
	conn := run(t, dialled(t, config, serveRaw(t, func(p *peer) {
		p.accept()
		_, err := p.in.Peek(1)
		begun <- err
		<-p.ended
	})))
	sent := make(chan error, 1)
	go func() { // more than the buffers between the two take
		sent <- conn.Send(t.Context(), websocket.Message{Data: make([]byte, config.MaxMessage)})
	}()
	if err := await(t, "beginning of the message", begun); err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(1000, "go"); err != nil {
		t.Error(err)
	}
	if end := await(t, "end", conn.end); end != (websocket.End{Code: 1000, Reason: "go", Own: true}) {
		t.Errorf("got %+v", end)
	}
	if err := await(t, "error of Send", sent); !errors.Is(err, websocket.ErrClosed) {
		t.Errorf("got %v", err)
	}
}
