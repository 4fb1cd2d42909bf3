//go:build unix

package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/pluginhost/pluginhost/testenv/journal"
)

// diary is what the plugin was called back with, and the server of its connections.
type diary struct {
	gateway *httptest.Server
	serving sync.WaitGroup

	mu      sync.Mutex
	inits   int
	fires   map[string][]time.Time // by schedule
	newest  map[string]string      // payload of the newest fire, by schedule
	ends    map[string][]time.Time // by connection
	begun   map[string]time.Time   // when the first end of a connection began, by the guest
	last    map[string]time.Time   // when the newest message began, by connection
	heard   map[string]time.Time   // when it was heard
	waiting map[string]chan struct{}
	peers   map[string]*websocket.Conn
}

func newDiary() *diary {
	d := &diary{
		fires: make(map[string][]time.Time), newest: make(map[string]string), ends: make(map[string][]time.Time),
		begun: make(map[string]time.Time), last: make(map[string]time.Time), heard: make(map[string]time.Time),
		waiting: make(map[string]chan struct{}), peers: make(map[string]*websocket.Conn),
	}
	d.gateway = httptest.NewServer(http.HandlerFunc(d.serve))
	return d
}

func (d *diary) address() string { return "ws" + strings.TrimPrefix(d.gateway.URL, "http") }

func (d *diary) close() {
	d.mu.Lock()
	for _, peer := range d.peers {
		_ = peer.Close()
	}
	d.mu.Unlock()
	d.gateway.Close()
	d.serving.Wait()
}

// hear writes down a callback, and lets it take as long as its payload says.
func (d *diary) hear(event journal.Event) ([]journal.Command, error) {
	id := string(event.ID)
	d.mu.Lock()
	switch event.Event {
	case "init":
		d.inits++
	case "fire":
		d.fires[id] = append(d.fires[id], event.At)
		d.newest[id] = string(event.Payload)
	case "text":
		d.heard[id] = event.At
		if event.Begun.After(d.last[id]) {
			d.last[id] = event.Begun
		}
	case "close", "error":
		d.ends[id] = append(d.ends[id], event.At)
		if before, told := d.begun[id]; !told || event.Begun.Before(before) {
			d.begun[id] = event.Begun
		}
		if ended := d.waiting[id]; ended != nil && len(d.ends[id]) == 1 {
			close(ended)
		}
	}
	d.mu.Unlock()
	if event.Event == "fire" {
		text, _, _ := strings.Cut(string(event.Payload), " ")
		if milliseconds, err := strconv.Atoi(text); err == nil {
			<-time.After(time.Duration(milliseconds) * time.Millisecond)
		}
	}
	return nil, nil
}

// ended is closed when the plugin was told of the end of a connection.
func (d *diary) ended(id string) <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.waiting[id] == nil {
		d.waiting[id] = make(chan struct{})
		if len(d.ends[id]) > 0 {
			close(d.waiting[id])
		}
	}
	return d.waiting[id]
}

// still are the recurring schedules that do not fire from now on, while what is due is waited
// for.
func (d *diary) still(ctx context.Context, count int) (still []string) {
	begun := time.Now()
	for n := range count {
		id := recurring(n)
		for !d.firedAfter(id, begun) {
			if await(ctx, time.Second/4); ctx.Err() != nil || time.Since(begun) > settleTime {
				still = append(still, id)
				break
			}
		}
	}
	return still
}

func (d *diary) firedAfter(id string, after time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	fires := d.fires[id]
	return len(fires) > 0 && fires[len(fires)-1].After(after)
}

// hangUp closes a connection at the server.
func (d *diary) hangUp(id string) {
	d.mu.Lock()
	peer := d.peers[id]
	d.mu.Unlock()
	if peer != nil {
		_ = peer.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, "bye"), time.Now().Add(time.Second))
	}
}

// serve talks to a connection until it ends.
func (d *diary) serve(w http.ResponseWriter, r *http.Request) {
	upgrader := websocket.Upgrader{}
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	id := strings.TrimPrefix(r.URL.Path, "/")
	d.mu.Lock()
	d.peers[id] = conn
	d.mu.Unlock()
	gone := make(chan struct{})
	d.serving.Go(func() {
		defer close(gone)
		for {
			if _, _, err := conn.ReadMessage(); err != nil {
				return
			}
		}
	})
	d.serving.Go(func() {
		ticker := time.NewTicker(200 * time.Millisecond)
		defer ticker.Stop()
		defer func() {
			_ = conn.Close()
			d.mu.Lock()
			delete(d.peers, id)
			d.mu.Unlock()
		}()
		for {
			select {
			case <-gone:
				return
			case <-ticker.C:
				if conn.WriteMessage(websocket.TextMessage, []byte("tick")) != nil {
					<-gone
					return
				}
			}
		}
	})
}
