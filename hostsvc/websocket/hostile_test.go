package websocket_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/hostsvc/websocket"
)

func TestAServerThatBreaksTheRulesIsLeft(t *testing.T) {
	t.Parallel()
	const limit = 1000
	for _, test := range []struct {
		name     string
		sent     []byte
		error    string
		answered int // the code of our close frame, 0 for none
	}{
		{"masked frame", []byte{final | text, 0x81, 1, 2, 3, 4, 'x'}, "bad MASK", 1002},
		{"compressed frame", frame(final|0x40|text, []byte("x")), "RSV1", 1002},
		{"reserved bits", frame(final|0x30|text, []byte("x")), "RSV2", 1002},
		{"unknown data frame", frame(final|0x3, nil), "bad opcode 3", 1002},
		{"unknown control frame", frame(final|0xf, nil), "bad opcode 15", 1002},
		{"ping in fragments", frame(ping, nil), "FIN not set on control", 1002},
		{"long ping", frame(final|ping, make([]byte, 126)), "len > 125 for control", 1002},
		{"continuation of nothing", frame(final|continuation, []byte("x")), "continuation after FIN", 1002},
		{"message in a message", append(frame(text, []byte("x")), frame(final|text, []byte("y"))...), "data before FIN", 1002},
		{"message over the limit", frame(final|text, make([]byte, limit+1)), "over the limit of 1000 bytes", 1009},
		{"fragments over the limit", append(frame(binaryData, make([]byte, 600)), frame(continuation, make([]byte, 600))...), "over the limit of 1000 bytes", 1009},
		{"length without an end", []byte{final | text, 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, "over the limit of 1000 bytes", 1009},
		{"negative length", []byte{final | text, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, "over the limit of 1000 bytes", 1009},
		{"lengths that overflow", append(frame(text, []byte("x")), continuation, 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), "over the limit of 1000 bytes", 1009},
		{"text that is not UTF-8", frame(final|text, []byte("a\xffb")), "is not UTF-8", 1007},
		{"half a letter", frame(final|text, []byte("a\xc3")), "is not UTF-8", 1007},
		{"fragments of text that are not UTF-8", append(frame(text, []byte("\xc3")), frame(final|continuation, []byte("x"))...), "is not UTF-8", 1007},
		{"close frame with half a code", frame(final|closeFrame, []byte{3}), "close frame with half a code", 1002},
		{"close frame with half a code behind pings", append(append(frame(final|ping, make([]byte, 125)), frame(final|pong, nil)...), frame(final|closeFrame, []byte{3})...), "close frame with half a code", 1002},
		{"close frame with half a code, and another", append(frame(final|closeFrame, []byte{3}), frame(final|closeFrame, []byte{3, 0xe8})...), "close frame with half a code", 1002},
		{"not a WebSocket", []byte("HTTP/1.1 400 Bad Request\r\n\r\n"), "", 1002},
		{"half a header", []byte{final | text}, "left without a close frame", 0},
		{"half a length", []byte{final | text, 126, 1}, "left without a close frame", 0},
		{"half a message", frame(final|text, []byte("hello"))[:4], "left without a close frame", 0},
		{"half a ping", frame(final|ping, []byte("hello"))[:4], "left without a close frame", 0},
		{"fragments without an end", frame(text, []byte("hello")), "left without a close frame", 0},
		{"nothing", nil, "left without a close frame", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			answered := make(chan int, 1)
			url := serveRaw(t, func(p *peer) {
				p.accept()
				p.say(test.sent)
				if test.answered == 0 {
					return
				}
				code, _ := p.listen()
				answered <- code
			})
			config := anywhere()
			config.MaxMessage = limit
			conn := run(t, dialled(t, config, url))
			end := await(t, "end", conn.end)
			if end.Err == nil || !strings.Contains(end.Err.Error(), test.error) {
				t.Errorf("got %+v, want %q in the error", end, test.error)
			}
			if n := len(conn.messages); n != 0 {
				t.Errorf("%d messages arrived", n)
			}
			if test.answered != 0 {
				if code := await(t, "answer", answered); code != test.answered {
					t.Errorf("the server was answered %d", code)
				}
			}
		})
	}
}

// The close frame is found behind frames of every length, and whatever they carry.
func TestACloseFrameWithHalfACodeIsFoundBehindMessages(t *testing.T) {
	t.Parallel()
	answered := make(chan int, 1)
	url := serveRaw(t, func(p *peer) {
		p.accept()
		for _, size := range []int{0, 125, 126, 0xffff, 0x10000} {
			p.say(frame(final|binaryData, bytes.Repeat([]byte{final | closeFrame, 1, 3}, size)[:size]))
		}
		p.say(frame(binaryData, []byte("x")), frame(final|ping, []byte{final | closeFrame, 1}), frame(final|continuation, nil))
		for _, b := range frame(final|closeFrame, []byte{3}) {
			p.say([]byte{b})
		}
		code, _ := p.listen() // pongs come before
		answered <- code
	})
	conn := run(t, dialled(t, anywhere(), url))
	for range 6 {
		await(t, "message", conn.messages)
	}
	if end := await(t, "end", conn.end); end.Err == nil || !strings.Contains(end.Err.Error(), "half a code") {
		t.Errorf("got %+v", end)
	}
	if code := await(t, "answer", answered); code != 1002 {
		t.Errorf("the server was answered %d", code)
	}
}

// Letters may be cut anywhere between fragments.
func TestTextOfManyBytesArrives(t *testing.T) {
	t.Parallel()
	const sent = "夜に聴く\x00\U0001F3B5"
	url := serveRaw(t, func(p *peer) {
		p.accept()
		p.say(frame(text, []byte(sent[:1])), frame(continuation, []byte(sent[1:5])), frame(final|continuation, []byte(sent[5:])))
		p.listen()
	})
	if got := await(t, "message", run(t, dialled(t, anywhere(), url)).messages); string(got.Data) != sent {
		t.Errorf("got %q", got.Data)
	}
}

func TestAServerCanReadWhyItIsLeft(t *testing.T) {
	t.Parallel()
	written, answered := make(chan bool, 1), make(chan int, 1)
	url := serveRaw(t, func(p *peer) {
		p.accept()
		written <- p.say(frame(final|binaryData, make([]byte, 12<<20))) // fails when the connection is reset
		code, _ := p.listen()
		answered <- code
	})
	conn := run(t, dialled(t, anywhere(), url))
	await(t, "end", conn.end)
	if !await(t, "end of the server's writing", written) {
		t.Error("the connection was reset while the server was writing")
	}
	if code := await(t, "answer", answered); code != 1009 {
		t.Errorf("the server was answered %d", code)
	}
}

func TestAMessageOfTheLongestSizeArrives(t *testing.T) {
	t.Parallel()
	config := anywhere()
	config.MaxMessage = 1000
	url := serveRaw(t, func(p *peer) {
		p.accept()
		p.say(frame(final|text, make([]byte, 1000)), frame(text, make([]byte, 500)), frame(final|continuation, make([]byte, 500)))
		p.listen()
	})
	conn := run(t, dialled(t, config, url))
	for range 2 {
		if got := await(t, "message", conn.messages); len(got.Data) != 1000 {
			t.Errorf("got %d bytes", len(got.Data))
		}
	}
}

func TestAServerThatNeverStopsIsLeft(t *testing.T) {
	t.Parallel()
	begun := frame(text, []byte("x"))
	for name, test := range map[string]struct{ first, endless []byte }{
		"sending messages in a message": {begun, frame(binaryData, make([]byte, 1000))},
		"sending long fragments":        {begun, frame(continuation, make([]byte, 1000))},
		"sending short fragments":       {begun, frame(continuation, []byte("x"))},
		"sending empty fragments":       {begun, frame(continuation, nil)}, // its time for a message is over
		"sending a frame byte by byte":  {[]byte{final | text, 127, 0, 0, 0, 0, 0x7f, 0, 0, 0}, []byte("x")},
		"sending garbage":               {nil, bytes.Repeat([]byte{0xff}, 1000)},
	} {
		t.Run(name, func(t *testing.T) {
			config := anywhere()
			config.MaxMessage = 100_000
			config.PingInterval = 50 * time.Millisecond
			url := serveRaw(t, func(p *peer) {
				p.accept()
				for ok := p.say(test.first); ok; ok = p.say(test.endless) {
				}
			})
			conn := run(t, dialled(t, config, url))
			if end := await(t, "end", conn.end); end.Err == nil {
				t.Errorf("got %+v", end)
			}
		})
	}
}

func TestAFloodOfPingsEndsWithTheServersPatience(t *testing.T) {
	t.Parallel()
	config := anywhere()
	config.WriteTimeout = 50 * time.Millisecond
	url := serveRaw(t, func(p *peer) { // it reads none of the pongs
		p.accept()
		for p.say(frame(final|ping, make([]byte, 125))) {
		}
	})
	conn := run(t, dialled(t, config, url))
	if end := await(t, "end", conn.end); end.Err == nil || errors.Is(end.Err, websocket.ErrAborted) {
		t.Errorf("got %+v", end)
	}
}
