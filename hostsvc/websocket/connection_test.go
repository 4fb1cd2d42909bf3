package websocket_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	gorilla "github.com/gorilla/websocket"

	"github.com/pluginhost/pluginhost/hostsvc/websocket"
)

func TestMessagesArriveInOrderAsTheyAre(t *testing.T) {
	t.Parallel()
	url := serve(t, func(conn *gorilla.Conn, _ *http.Request) {
		for i := range 100 {
			_ = conn.WriteMessage(gorilla.TextMessage, fmt.Appendf(nil, "ü%d", i))
			_ = conn.WriteMessage(gorilla.BinaryMessage, bytes.Repeat([]byte{byte(i)}, 100*i))
		}
		_ = drain(conn)
	})
	conn := run(t, dialled(t, anywhere(), url))
	for i := range 100 {
		if got := await(t, "text", conn.messages); got.Binary || string(got.Data) != fmt.Sprintf("ü%d", i) {
			t.Fatalf("text %d: got %v %.20q", i, got.Binary, got.Data)
		}
		if got := await(t, "binary message", conn.messages); !got.Binary || !bytes.Equal(got.Data, bytes.Repeat([]byte{byte(i)}, 100*i)) {
			t.Fatalf("binary message %d: got %v and %d bytes", i, got.Binary, len(got.Data))
		}
	}
}

func TestAMessageInFragmentsIsOneMessage(t *testing.T) {
	t.Parallel()
	url := serveRaw(t, func(p *peer) {
		p.accept()
		p.say(frame(text, []byte("one ")), frame(final|ping, nil), frame(continuation, nil), frame(final|continuation, []byte("message")))
		p.listen()
	})
	if got := await(t, "message", run(t, dialled(t, anywhere(), url)).messages); string(got.Data) != "one message" {
		t.Fatalf("got %q", got.Data)
	}
}

func TestAServerMayTalkWithItsHandshake(t *testing.T) {
	t.Parallel()
	url := serveRaw(t, func(p *peer) {
		p.accept("X: y\r\n\r\n" + string(frame(final|text, []byte("early"))) + "\x81\x04") // four bytes of text end the header
		p.listen()
	})
	conn := run(t, dialled(t, anywhere(), url))
	if got := await(t, "message", conn.messages); string(got.Data) != "early" {
		t.Fatalf("got %q", got.Data)
	}
	if got := await(t, "message", conn.messages); string(got.Data) != "\r\n\r\n" {
		t.Fatalf("got %q", got.Data)
	}
}

func TestMessagesOfManySendersStayWhole(t *testing.T) {
	t.Parallel()
	const senders, each = 8, 20
	// The server's pings have pongs written between the frames of messages.
	url := serve(t, func(conn *gorilla.Conn, r *http.Request) {
		var pinging sync.WaitGroup
		defer pinging.Wait()
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		pinging.Go(func() {
			for ctx.Err() == nil && conn.WriteControl(gorilla.PingMessage, []byte("p"), time.Now().Add(patient)) == nil {
			}
		})
		echo(conn, r)
	})
	conn := run(t, dialled(t, anywhere(), url))
	var sending sync.WaitGroup
	for sender := range senders {
		sending.Go(func() {
			for i := range each {
				data := bytes.Repeat([]byte{byte(sender)}, 1+i*5000)
				if err := conn.Send(t.Context(), websocket.Message{Binary: true, Data: data}); err != nil {
					t.Errorf("sender %d: %v", sender, err)
				}
			}
		})
	}
	counts := map[byte]int{}
	for range senders * each {
		got := await(t, "echo", conn.messages).Data
		if !bytes.Equal(got, bytes.Repeat(got[:1], len(got))) || len(got) != 1+counts[got[0]]*5000 {
			t.Fatalf("%d bytes of sender %d as its message %d", len(got), got[0], counts[got[0]])
		}
		counts[got[0]]++
	}
	sending.Wait()
}

func TestAConnectionHasALimitOfItsOwn(t *testing.T) {
	t.Parallel()
	config := anywhere()
	config.MaxMessage = 1000
	conn := run(t, dialled(t, config, serve(t, echo)))
	err := conn.Send(t.Context(), websocket.Message{Data: make([]byte, 1001)})
	if err == nil || err.Error() != "message of 1001 bytes is over the limit of 1000 bytes" {
		t.Errorf("got %v", err)
	}
	if err := conn.Send(t.Context(), websocket.Message{Data: make([]byte, 1000)}); err != nil {
		t.Error(err)
	}
	if got := await(t, "echo", conn.messages); len(got.Data) != 1000 {
		t.Errorf("got %d bytes", len(got.Data))
	}
}

func TestAHandlerThatTakesItsTimeHoldsUpItsServerAlone(t *testing.T) {
	t.Parallel()
	blocked := make(chan struct{})
	flood := serve(t, func(conn *gorilla.Conn, _ *http.Request) {
		_ = conn.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
		for conn.WriteMessage(gorilla.BinaryMessage, make([]byte, 64<<10)) == nil {
		}
		close(blocked)
	})
	release := make(chan struct{})
	slow := &running{Connection: dialled(t, anywhere(), flood), end: make(chan websocket.End, 1)}
	runWith(t, slow, func(websocket.Message) error {
		<-release
		return nil
	})
	await(t, "end of the server's writing", blocked)

	other := run(t, dialled(t, anywhere(), serve(t, echo)))
	if err := other.Send(t.Context(), websocket.Message{Data: []byte("hello")}); err != nil {
		t.Error(err)
	}
	if got := await(t, "echo", other.messages); string(got.Data) != "hello" {
		t.Errorf("got %q", got.Data)
	}
	close(release)
	if end := await(t, "end", slow.end); end.Err == nil {
		t.Errorf("got %+v", end)
	}
}

func TestHandlingIsOneAtATime(t *testing.T) {
	t.Parallel()
	url := serve(t, func(conn *gorilla.Conn, _ *http.Request) {
		for range 50 {
			_ = conn.WriteMessage(gorilla.TextMessage, []byte("x"))
		}
		_ = conn.WriteMessage(gorilla.CloseMessage, gorilla.FormatCloseMessage(1000, ""))
		_ = drain(conn)
	})
	conn := &running{Connection: dialled(t, anywhere(), url), end: make(chan websocket.End, 1)}
	handled := 0 // without a lock: the race detector would tell
	runWith(t, conn, func(websocket.Message) error {
		handled++
		return nil
	})
	if end := await(t, "end", conn.end); end.Code != 1000 || handled != 50 {
		t.Fatalf("%d messages, %+v", handled, end)
	}
}

// deaf is a server that takes the handshake and reads nothing.
func deaf(t *testing.T) string {
	return serveRaw(t, func(p *peer) {
		p.accept()
		<-p.ended
	})
}

func TestAServerThatTakesNothingEndsTheConnection(t *testing.T) {
	t.Parallel()
	const short = 50 * time.Millisecond
	for name, test := range map[string]struct{ write, call time.Duration }{
		"by the time for a message":   {short, time.Hour},
		"by the deadline of the call": {time.Hour, short},
	} {
		t.Run(name, func(t *testing.T) {
			config := anywhere()
			config.WriteTimeout = test.write
			conn := run(t, dialled(t, config, deaf(t)))
			send := func() error {
				ctx, cancel := context.WithTimeout(t.Context(), test.call)
				defer cancel()
				return conn.Send(ctx, websocket.Message{Data: make([]byte, 1_000_000)})
			}
			var err error
			for err == nil {
				err = send()
			}
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("got %v", err)
			}
			if end := await(t, "end", conn.end); !errors.Is(end.Err, err) {
				t.Errorf("got %+v, want %v", end, err)
			}
			if err := conn.Send(t.Context(), websocket.Message{}); !errors.Is(err, websocket.ErrClosed) {
				t.Errorf("after the end: %v", err)
			}
		})
	}
}

func TestACallThatIsOverSendsNothing(t *testing.T) {
	t.Parallel()
	conn := run(t, dialled(t, anywhere(), serve(t, echo)))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 { // the choice between a free turn and a context that is over is random
		if err := conn.Send(ctx, websocket.Message{Data: []byte("late")}); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	}
	if err := conn.Send(t.Context(), websocket.Message{Data: []byte("hello")}); err != nil {
		t.Errorf("the connection has not survived: %v", err)
	}
	if got := await(t, "echo", conn.messages); string(got.Data) != "hello" {
		t.Errorf("got %q", got.Data)
	}
}

// sparePings leaves a server more time to be heard than a busy machine takes.
const sparePings, silentIntervals = 200 * time.Millisecond, 3

func TestAServerThatVanishesIsFoundOut(t *testing.T) {
	t.Parallel()
	config := anywhere()
	config.PingInterval = 20 * time.Millisecond
	pinged := make(chan int, 1)
	url := serveRaw(t, func(p *peer) { // it says nothing and leaves its side open
		p.accept()
		_, pings := p.listen()
		pinged <- pings
	})
	conn := run(t, dialled(t, config, url))
	end := await(t, "end", conn.end)
	if !errors.Is(end.Err, os.ErrDeadlineExceeded) || end.Err.Error() != "nothing came from the server for 60ms: i/o timeout" {
		t.Errorf("got %+v", end)
	}
	if await(t, "count of pings", pinged) == 0 {
		t.Error("the server was not pinged")
	}
}

func TestAServerThatAnswersPingsIsAlive(t *testing.T) {
	t.Parallel()
	config := anywhere()
	config.PingInterval = sparePings
	url := serve(t, func(conn *gorilla.Conn, _ *http.Request) {
		pings := 0
		conn.SetPingHandler(func(data string) error {
			if pings++; pings == 2*silentIntervals {
				_ = conn.WriteMessage(gorilla.TextMessage, []byte("here"))
			}
			return conn.WriteControl(gorilla.PongMessage, []byte(data), time.Now().Add(patient))
		})
		_ = drain(conn)
	})
	conn := run(t, dialled(t, config, url))
	select {
	case <-conn.messages:
	case end := <-conn.end:
		t.Fatalf("the connection ended: %v", end.Err)
	}
}

func TestAServerThatPingsIsAnsweredAndAlive(t *testing.T) {
	t.Parallel()
	config := anywhere()
	config.PingInterval = sparePings
	answers := make(chan string, 1)
	url := serve(t, func(conn *gorilla.Conn, _ *http.Request) {
		conn.SetPongHandler(func(data string) error { answers <- data; return nil })
		pings := 0
		conn.SetPingHandler(func(string) error { // unanswered: our own pings keep it alive
			pings++
			return conn.WriteControl(gorilla.PingMessage, fmt.Append(nil, pings), time.Now().Add(patient))
		})
		_ = drain(conn)
	})
	conn := run(t, dialled(t, config, url))
	for i := range 2 * silentIntervals {
		select {
		case got := <-answers:
			if got != fmt.Sprint(i+1) {
				t.Errorf("the answer is %q", got)
			}
		case end := <-conn.end:
			t.Fatalf("the connection ended: %v", end.Err)
		}
	}
}

func TestTheTimeInTheHandlerIsNotTheServers(t *testing.T) {
	t.Parallel()
	config := anywhere()
	config.PingInterval = sparePings
	enough := make(chan struct{})
	url := serveRaw(t, func(p *peer) { // it answers no ping
		p.accept()
		p.say(frame(final|text, []byte("first")), frame(final|text, []byte("second")))
		for range 2 * silentIntervals {
			if _, err := p.in.Discard(6); err != nil { // an empty ping
				return
			}
		}
		close(enough)
		p.listen()
	})
	conn := &running{Connection: dialled(t, config, url), messages: make(chan websocket.Message, 2), end: make(chan websocket.End, 1)}
	runWith(t, conn, func(m websocket.Message) error {
		conn.messages <- m
		<-enough
		return nil
	})
	await(t, "message", conn.messages)
	if got := await(t, "message", conn.messages); string(got.Data) != "second" {
		t.Errorf("got %q", got.Data)
	}
}

func TestAHandlerEndsTheConnectionWithAnError(t *testing.T) {
	t.Parallel()
	left := make(chan error, 1)
	url := serve(t, func(conn *gorilla.Conn, _ *http.Request) {
		_ = conn.WriteMessage(gorilla.TextMessage, []byte("x"))
		_ = conn.WriteMessage(gorilla.TextMessage, []byte("y"))
		left <- drain(conn)
	})
	enough := errors.New("enough")
	conn := &running{Connection: dialled(t, anywhere(), url), end: make(chan websocket.End, 1)}
	runWith(t, conn, func(m websocket.Message) error {
		if string(m.Data) != "x" {
			t.Errorf("handled %q", m.Data)
		}
		return enough
	})
	if end := await(t, "end", conn.end); !errors.Is(end.Err, enough) {
		t.Errorf("got %+v", end)
	}
	if err := await(t, "end of the server's reading", left); err == nil {
		t.Error("the server was not left")
	}
}

func TestTheContextEndsTheConnection(t *testing.T) {
	t.Parallel()
	left := make(chan error, 1)
	conn := dialled(t, anywhere(), serve(t, func(conn *gorilla.Conn, _ *http.Request) { left <- drain(conn) }))
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(time.Millisecond, func() { cancel(errors.New("drained")) })
	if end := conn.Run(ctx, nil); end.Err == nil || end.Err.Error() != "drained" {
		t.Errorf("got %+v", end)
	}
	if err := await(t, "end of the server's reading", left); err == nil {
		t.Error("the server was not left")
	}
}

func TestAbortEndsTheConnection(t *testing.T) {
	t.Parallel()
	for _, order := range []string{"before Run", "during Run", "during a message"} {
		t.Run(order, func(t *testing.T) {
			left := make(chan error, 1)
			url := serve(t, func(conn *gorilla.Conn, _ *http.Request) {
				_ = conn.WriteMessage(gorilla.TextMessage, []byte("x"))
				left <- drain(conn)
			})
			conn := &running{Connection: dialled(t, anywhere(), url), end: make(chan websocket.End, 1)}
			handling := make(chan struct{}, 1)
			if order == "before Run" {
				conn.Abort()
			}
			runWith(t, conn, func(websocket.Message) error {
				handling <- struct{}{}
				if order == "during a message" {
					conn.Abort()
				}
				return nil
			})
			if order == "during Run" {
				await(t, "message", handling)
				conn.Abort()
			}
			if end := await(t, "end", conn.end); !errors.Is(end.Err, websocket.ErrAborted) {
				t.Errorf("got %+v", end)
			}
			var frame *gorilla.CloseError
			if err := await(t, "end of the server's reading", left); errors.As(err, &frame) && frame.Code != gorilla.CloseAbnormalClosure {
				t.Errorf("the server saw %v", err)
			}
			conn.Abort()
		})
	}
}

func TestAFailureNamesNoAddress(t *testing.T) {
	t.Parallel()
	url := serveRaw(t, func(p *peer) {
		p.accept()
		_ = p.Conn.(*net.TCPConn).SetLinger(0) // reset
	})
	conn := run(t, dialled(t, anywhere(), url+"/?key=s3cret"))
	end := await(t, "end", conn.end)
	if end.Err == nil || strings.Contains(end.Err.Error(), "127.0.0.1") || strings.Contains(end.Err.Error(), "s3cret") {
		t.Fatalf("got %v", end.Err)
	}
}
