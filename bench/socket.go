package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

// flightSize is how many messages are on the way at once in the rows about rate,
// each of messageSize bytes.
const (
	flightSize  = 64
	messageSize = 200
)

// socketSection measures the messages of one WebSocket.
func socketSection() section {
	return section{
		name: "socket", title: "Messages of one WebSocket: from the server to the plugin's callback, which sends them back", baseline: "bare client",
		shows: []quantity{p50, p99, perSecond, p50Ratio, rateRatio},
		run:   measureSockets,
	}
}

// socketServer hands out the server's side of connections.
type socketServer struct {
	*httptest.Server
	accepted chan *websocket.Conn
}

func startSocketServer() *socketServer {
	s := &socketServer{accepted: make(chan *websocket.Conn, 2)}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		upgrader := websocket.Upgrader{}
		conn, err := upgrader.Upgrade(w, r, nil)
		if err == nil {
			s.accepted <- conn
		}
	}))
	return s
}

func (s *socketServer) address() string { return "ws" + strings.TrimPrefix(s.URL, "http") }

func measureSockets(ctx context.Context, b *bench) (_ []*row, err error) {
	server := startSocketServer()
	defer server.Close()
	client, response, err := websocket.DefaultDialer.DialContext(ctx, server.address(), nil)
	if err != nil {
		return nil, fmt.Errorf("bare client: %w", err)
	}
	_ = response.Body.Close()
	bare := <-server.accepted
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		sendBack(client)
	}()
	defer func() {
		_ = bare.Close()
		_ = client.Close()
		<-ended
	}()
	e, err := b.openStateful(ctx, "socket", map[string]string{"url": server.address()}, slog.DiscardHandler)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, e.close(context.WithoutCancel(ctx))) }()
	plugin := <-server.accepted
	defer func() { _ = plugin.Close() }()

	one := &row{name: "1 on the way, bare client", callers: 1, take: exchange(bare, 1)}
	many := &row{name: fmt.Sprintf("%d on the way, bare client", flightSize), callers: 1, take: exchange(bare, flightSize)}
	rows := []*row{
		one, {name: "1 on the way, plugin", callers: 1, against: one, take: exchange(plugin, 1)},
		many, {name: fmt.Sprintf("%d on the way, plugin", flightSize), callers: 1, against: many, take: exchange(plugin, flightSize)},
	}
	return rows, b.measure(ctx, rows, 12, 250*time.Millisecond)
}

// sendBack sends every message back until the connection ends.
func sendBack(conn *websocket.Conn) {
	for {
		kind, message, err := conn.ReadMessage()
		if err != nil || conn.WriteMessage(kind, message) != nil {
			return
		}
	}
}

// exchange sends messages and takes them back, with so many on the way.
func exchange(conn *websocket.Conn, flight int) source {
	message := []byte(strings.Repeat("m", messageSize))
	return func(ctx context.Context, length time.Duration) (sample, error) {
		var times []time.Duration
		sent := make([]time.Time, 0, flight)
		begin := time.Now()
		send := func() error {
			sent = append(sent, time.Now())
			return conn.WriteMessage(websocket.TextMessage, message)
		}
		cpu, err := processCPU()
		if err != nil {
			return sample{}, err
		}
		for range flight {
			if err := send(); err != nil {
				return sample{}, fmt.Errorf("send: %w", err)
			}
		}
		for len(sent) > 0 {
			_ = conn.SetReadDeadline(time.Now().Add(replyTimeout)) // always nil
			if _, _, err := conn.ReadMessage(); err != nil {
				return sample{}, fmt.Errorf("receive: %w", err)
			}
			times, sent = append(times, time.Since(sent[0])), sent[1:]
			if time.Since(begin) < length && ctx.Err() == nil {
				if err := send(); err != nil {
					return sample{}, fmt.Errorf("send: %w", err)
				}
			}
		}
		elapsed := time.Since(begin)
		after, err := processCPU()
		if err != nil {
			return sample{}, err
		}
		s := sampleOf(times)
		s.elapsed, s.cpu = elapsed, after-cpu
		return s, ctx.Err()
	}
}
