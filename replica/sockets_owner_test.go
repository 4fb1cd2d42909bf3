package replica_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/journal"
)

func TestLimitsOfSockets(t *testing.T) {
	t.Parallel()
	s, g := newStateful(t, nil), newGateway(t)
	limited := func(c *setup) { c.WebSocket.MaxMessage, c.WebSocket.MaxConnections = 1000, 2 }
	first, second := s.start(limited), s.start(limited)
	p, _ := g.open(s, "one")
	fits, long := strings.Repeat("x", 1000), strings.Repeat("x", 1001)
	s.do(say("one", fits))
	p.hears(t, fits)
	want := "failed to send message: message of 1001 bytes is over the limit of 1000 bytes"
	if text := s.fails(say("one", long)); text != want {
		t.Errorf("a text is refused with %q", text)
	}
	if text := s.fails(journal.Command{Do: "binary", ID: []byte("one"), Payload: []byte(long)}); text != want {
		t.Errorf("a binary message is refused with %q", text)
	}
	p.says(t, fits)
	s.journal.AwaitAbout(t, "text", "one", 1)
	other, _ := g.open(s, "two")
	other.reaches(s, "two", 2)
	s.caughtUp(first, second)
	refused := map[string]bool{}
	for len(refused) < 2 {
		on, err := s.tryWhere(journal.Command{Do: "connect", ID: []byte("three"), URL: g.address()})
		if err == nil || !strings.Contains(err.Error(), "the plugin has 2 connections, [WebSocket] MaxConnections is 2") {
			t.Fatalf("a third connection on %s: %v", on, err)
		}
		refused[on] = true
	}
	again, _ := g.open(s, "two") // which replaces one
	other.end(t)
	again.reaches(s, "two", 2)
	p.says(t, long)
	if code, _ := p.end(t); code != websocket.CloseMessageTooBig {
		t.Errorf("the server is told %d", code)
	}
	if finals := s.finals("one"); len(finals) != 1 || finals[0].Event != "error" || !strings.Contains(finals[0].Text, "over the limit of 1000 bytes") {
		t.Errorf("%+v", finals)
	}
	s.caughtUp(first, second)
	third, _ := g.open(s, "three")
	third.reaches(s, "three", 2)
}

// The plugin is told once that the replica is gone which held its connection, and a
// replica that comes back has nothing more to tell.
func TestAConnectionEndsWithItsReplica(t *testing.T) {
	t.Parallel()
	for name, signal := range map[string]syscall.Signal{"killed": syscall.SIGKILL, "stalled": syscall.SIGSTOP} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, g := newStateful(t, nil), newGateway(t)
			lost := s.process()
			var peers []*peer
			ids := []string{"idle", "busy", "callback"}
			release := s.journal.Hold(t, "text", "callback")
			for _, id := range ids {
				p, _ := g.open(s, id)
				peers = append(peers, p)
			}
			peers[2].says(t, "before")
			s.journal.AwaitAbout(t, "text", "callback", 1)
			s.start()
			lost.Signal(signal)
			peers[2].says(t, "meanwhile")
			for _, id := range ids {
				if finals := s.finals(id); len(finals) != 1 || finals[0].Event != "error" || !strings.Contains(finals[0].Text, "the replica that held the connection is gone") {
					t.Errorf("%s: %+v", id, finals)
				}
			}
			if signal == syscall.SIGSTOP {
				peers[1].says(t, "too late")
				lost.Signal(syscall.SIGCONT)
			}
			release()
			for i, p := range peers {
				p.end(t)
				if text := s.fails(say(ids[i], "hello")); text != noConnection {
					t.Errorf("a message is refused with %q", text)
				}
			}
			if signal == syscall.SIGSTOP {
				lost.Signal(syscall.SIGTERM)
				if code := lost.Wait(); code != 0 {
					t.Errorf("it ends with %d\n%s", code, lost.Log())
				}
			}
			// A connection can have the id again.
			p, _ := g.open(s, "busy")
			p.reaches(s, "busy", 1)
			for _, id := range ids {
				if ends := len(s.journal.About("error", id)) + len(s.journal.About("close", id)); ends != 1 {
					t.Errorf("the end of %s is told %d times", id, ends)
				}
			}
			if texts := s.journal.Of("text"); len(texts) != 1 {
				t.Errorf("the plugin hears %+v", texts)
			}
		})
	}
}

// A message waits for its plugin on a replica that is cut off meanwhile, until another one has
// told the connection's end.
func TestAMessageThatHasWaitedComesAfterNoEnd(t *testing.T) {
	t.Parallel()
	s, g := newStateful(t, nil), newGateway(t)
	link := testenv.StartLink(t, strings.TrimPrefix(s.url, "nats://"))
	cutOff := s.start(func(c *setup) {
		c.NATS.URL = "nats://" + link.Address()
		c.Runtime.MaxConcurrent, c.Runtime.Queue = 2, 5
		c.Runtime.Timeout = patience // the calls are held until the link is cut, however long another replica takes to start
	})
	p, _ := g.open(s, "waits")
	var calls sync.WaitGroup
	var release []func()
	for i := range 2 {
		busy := fmt.Sprint("busy", i)
		release = append(release, s.journal.Hold(t, "told", busy))
		calls.Go(func() { _, _ = s.tryWhere(journal.Command{Do: "tell", ID: []byte(busy)}) }) // the answer is cut off
		s.journal.AwaitAbout(t, "told", busy, 1)
	}
	p.says(t, "hello")
	eventually(t, "the message waits", func() bool { return cutOff.Status().Plugins[0].Calls.Waiting == 1 })
	s.start()
	link.Cut()
	if finals := s.finals("waits"); len(finals) != 1 || finals[0].Event != "error" {
		t.Errorf("%+v", finals)
	}
	for _, one := range release {
		one()
	}
	eventually(t, "the plugin has time", func() bool { return cutOff.Status().Plugins[0].Calls.Waiting == 0 })
	link.Mend()
	p.end(t)
	if texts := s.journal.Of("text"); len(texts) > 0 {
		t.Errorf("the plugin hears %+v", texts)
	}
	calls.Wait()
}

// A call that runs while its plugin is unloaded has begun to connect before, and the
// server accepts it after the others are closed.
func TestAConnectionDoesNotOutliveItsPlugin(t *testing.T) {
	t.Parallel()
	s, g, slow := newStateful(t, nil), newGateway(t), newGateway(t)
	r := s.start()
	open, _ := g.open(s, "open")
	asked, accept := make(chan struct{}), make(chan struct{})
	slow.admit = func(http.ResponseWriter, *http.Request) bool {
		close(asked)
		<-accept
		return true
	}
	connected := make(chan error, 1)
	go func() {
		_, err := s.tryWhere(journal.Command{Do: "connect", ID: []byte("slow"), URL: slow.address()})
		connected <- err
	}()
	<-asked
	testenv.RemovePlugin(t, s.folder, "p")
	refreshed := make(chan error, 1)
	go func() { refreshed <- r.Refresh(context.Background(), "p") }()
	open.end(t)
	close(accept)
	if err := <-connected; err != nil {
		t.Error(err)
	}
	late := slow.accept(t)
	if err := <-refreshed; err != nil {
		t.Error(err)
	}
	if code, _ := late.end(t); code != websocket.CloseGoingAway {
		t.Errorf("the server is told %d", code)
	}
}

// What is connected outlives a NATS server that keeps its records in memory.
func TestAConnectionOutlivesTheMemoryOfTheServer(t *testing.T) {
	t.Parallel()
	server := testenv.Restartable(t)
	s, g := newStatefulAt(t, server.URL(), nil), newGateway(t)
	r := s.start(func(c *setup) { c.NATS.Storage = "memory" })
	p, _ := g.open(s, "kept")
	p.says(t, "before")
	s.journal.AwaitAbout(t, "text", "kept", 1)
	server.Stop()
	server.Start()
	p.says(t, "after")
	s.journal.AwaitAbout(t, "text", "kept", 2)
	p.closes(t, 4000, "bye")
	s.journal.AwaitAbout(t, "close", "kept", 1)
	if finals := s.finals("kept"); len(finals) != 1 {
		t.Errorf("%+v", finals)
	}
	if err := r.Drain(t.Context()); err != nil { // before the server goes
		t.Error(err)
	}
}
