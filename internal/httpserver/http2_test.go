package httpserver_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/internal/httpserver"
)

// Types of frames of HTTP/2, and a setting.
const (
	frameData         = 0
	frameHeaders      = 1
	frameSettings     = 4
	frameGoAway       = 7
	frameWindowUpdate = 8

	settingInitialWindow = 4
	largestWindow        = 1<<31 - 1
)

// frames writes and reads HTTP/2 as no well-behaved client does.
type frames struct{ *client }

// dialFrames begins with HTTP/2. An answer may have so many bytes before its client asks for more.
func dialFrames(t *testing.T, address string, window uint32) frames {
	t.Helper()
	c := frames{dial(t, address, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")}
	c.send(frameSettings, 0, 0, binary.BigEndian.AppendUint32([]byte{0, settingInitialWindow}, window))
	c.send(frameWindowUpdate, 0, 0, binary.BigEndian.AppendUint32(nil, largestWindow-(64<<10-1))) // of the connection
	return c
}

// send sends a frame, unless the server has closed the connection.
func (c frames) send(kind, flags byte, stream uint32, body []byte) {
	c.t.Helper()
	frame := append(binary.BigEndian.AppendUint32(nil, uint32(len(body))<<8|uint32(kind)), flags)
	frame = append(binary.BigEndian.AppendUint32(frame, stream), body...)
	_, _ = c.Write(frame)
}

// get sends a request without a body.
func (c frames) get(stream uint32, path string) {
	c.t.Helper()
	var block bytes.Buffer
	for _, field := range [][2]string{{":method", http.MethodGet}, {":scheme", "http"}, {":authority", "localhost"}, {":path", path}} {
		block.WriteByte(0) // literally, and as it is
		for _, text := range field {
			block.WriteByte(byte(len(text)))
			block.WriteString(text)
		}
	}
	c.send(frameHeaders, 1|4, stream, block.Bytes()) // the end of the stream and of its header
}

// until reads frames until one of a kind, or the end of the connection.
func (c frames) until(kind byte) (stream uint32, body []byte, err error) {
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	for {
		var head [9]byte
		if _, err := io.ReadFull(c.reader, head[:]); err != nil {
			return 0, nil, err
		}
		body := make([]byte, binary.BigEndian.Uint32(head[:4])>>8)
		if _, err := io.ReadFull(c.reader, body); err != nil {
			return 0, nil, err
		}
		if head[3] == kind {
			return binary.BigEndian.Uint32(head[5:]), body, nil
		}
	}
}

// Health is asked by new connections: whoever keeps one without a request that runs gives way to them.
func TestWhatIsLeftOfARequestKeepsNoOthersOut(t *testing.T) {
	over := make(chan struct{}, 2)
	for name, begin := range map[string]func(t *testing.T, address string){
		"a body that is not read and does not come": func(t *testing.T, address string) {
			dial(t, address, "POST /left HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
		},
		"an answer of HTTP/2 that is not taken": func(t *testing.T, address string) { dialFrames(t, address, 0).get(1, "/left") },
	} {
		t.Run(name, func(t *testing.T) {
			server := start(t, httpserver.Config{MaxConnections: 2, Patience: time.Hour, HTTP2: true}, func(w http.ResponseWriter, r *http.Request) {
				ok(w, r)
				if r.URL.Path == "/left" {
					over <- struct{}{}
				}
			})
			for range 2 {
				begin(t, server.Address())
				<-over
			}
			if got := dial(t, server.Address(), request).answer(); got != "ok" {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestAClientOfHTTP2ThatDoesNotReadDoesNotKeepItsHandlers(t *testing.T) {
	const requests = 3
	over := make(chan struct{}, requests)
	server := start(t, httpserver.Config{HTTP2: true, StallTimeout: 100 * time.Millisecond}, func(w http.ResponseWriter, _ *http.Request) {
		defer func() { over <- struct{}{} }()
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		for block := make([]byte, 1<<20); ; {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	})
	c := dialFrames(t, server.Address(), largestWindow)
	for i := range uint32(requests) {
		c.get(2*i+1, "/")
	}
	for range requests {
		select {
		case <-over:
		case <-time.After(20 * time.Second):
			t.Fatal("a handler waits for ever")
		}
	}
}

func TestAnswersOfHTTP2ThatNobodyTakesAreBounded(t *testing.T) {
	const connections = 4
	server := start(t, httpserver.Config{MaxConnections: connections, Patience: time.Hour, HTTP2: true}, ok)
	hoarder := dialFrames(t, server.Address(), 0)
	for i := range uint32(httpserver.MaxStreams) {
		hoarder.get(2*i+1, "/")
	}
	if _, _, err := hoarder.until(frameGoAway); err == nil || isTimeout(err) {
		t.Errorf("whoever takes none of %d answers is not cut off: %v", httpserver.MaxStreams, err)
	}
	other := dialFrames(t, server.Address(), 100)
	other.get(1, "/")
	if _, body, err := other.until(frameData); err != nil || string(body) != "ok" {
		t.Errorf("another one: %q, %v", body, err)
	}
}

func TestTheHandlerAnswersAllRequests(t *testing.T) {
	server := start(t, httpserver.Config{}, ok)
	if got := dial(t, server.Address(), "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n").answer(); got != "ok" {
		t.Errorf("OPTIONS *: got %q", got)
	}
}
