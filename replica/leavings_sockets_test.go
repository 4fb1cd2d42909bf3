package replica_test

import (
	"fmt"
	"syscall"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv/journal"
)

// closedSilently waits until the host has closed a connection whose end the plugin is not
// told.
func (s *stateful) closedSilently(p *peer) {
	s.t.Helper()
	if code, _ := p.end(s.t); code != websocket.CloseNormalClosure {
		s.t.Errorf("the server is told %d", code)
	}
	s.unheard()
}

// unheard fails the test if the plugin is told the end of a connection.
func (s *stateful) unheard() {
	s.t.Helper()
	if heard := append(s.journal.Of("close"), s.journal.Of("error")...); len(heard) > 0 {
		s.t.Errorf("the plugin hears %+v", heard)
	}
}

// awaitConnections waits until there are so many records of connections.
func (s *stateful) awaitConnections(count int) {
	s.t.Helper()
	eventually(s.t, fmt.Sprint(count, " connections"), func() bool {
		return len(s.keysOfBucket(subjects.StateBucket, "socket.p.*")) == count
	})
}

func TestAnotherVersionLeavesTheConnectionsOfOneOnInit(t *testing.T) {
	t.Parallel()
	s, g := newStateful(t, nil), newGateway(t)
	s.eachInitConnects(g)
	r := s.start(func(c *setup) { c.WebSocket.MaxConnections = 1 })
	last := g.accept(t)
	for n := range 5 {
		s.set(r, fmt.Sprint(n))
		next := g.accept(t)
		s.closedSilently(last)
		last = next
	}
	s.awaitConnections(1)
	// After a restart nobody is told of the one before.
	if err := r.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if code, _ := last.end(t); code != websocket.CloseGoingAway {
		t.Errorf("the server is told %d", code)
	}
	s.start()
	last = g.accept(t)
	s.awaitConnections(1)
	last.says(t, "hello")
	s.journal.AwaitCount(t, "text", 1)
	s.unheard()
}

// The owner of a connection that is to go may be another replica than that which runs
// OnInit, and may be gone.
func TestAConnectionOfAFormerOnInitIsClosedByItsOwner(t *testing.T) {
	t.Parallel()
	s, g := newStateful(t, nil), newGateway(t)
	s.eachInitConnects(g)
	owner := s.start(quickly)
	first := g.accept(t)
	other := s.start(quickly)
	s.set(other, "another")
	second := g.accept(t)
	s.awaitBeats(4)
	s.awaitConnections(2) // each version has its own
	first.says(t, "hello")
	s.journal.AwaitCount(t, "text", 1)
	s.set(owner, "another")
	s.closedSilently(first)
	s.awaitConnections(1)
	second.says(t, "hello")
	s.journal.AwaitCount(t, "text", 2)
	s.inits(2)
}

func TestAConnectionOfAFormerOnInitGoesWithItsOwner(t *testing.T) {
	t.Parallel()
	s, g := newStateful(t, nil), newGateway(t)
	s.eachInitConnects(g)
	dies := s.process()
	first := g.accept(t)
	s.start(quickly, func(c *setup) { c.PluginConfig["p"]["other"] = "setting" })
	second := g.accept(t)
	s.awaitConnections(2)
	dies.Signal(syscall.SIGKILL)
	first.end(t)
	s.awaitConnections(1)
	second.says(t, "hello")
	s.journal.AwaitCount(t, "text", 1)
	s.unheard()
}

// The version that serves on has never heard of the connection.
func TestAFailedOnInitLeavesNoConnections(t *testing.T) {
	t.Parallel()
	s, g := newStateful(t, nil), newGateway(t)
	s.eachInit(func(n int) ([]journal.Command, error) {
		commands := []journal.Command{{Do: "connect", URL: g.address()}}
		if n > 1 { // also when it is tried again
			commands = append(commands, journal.Command{Do: "nonsense"})
		}
		return commands, nil
	})
	r := s.start(func(c *setup) { c.WebSocket.MaxConnections = 1 })
	kept := g.accept(t)
	if err := s.settings(r, "another"); err == nil {
		t.Error("it loads")
	}
	g.accept(t).end(t)
	s.awaitConnections(1)
	kept.says(t, "hello")
	s.journal.AwaitCount(t, "text", 1)
	s.unheard()
}

// A connection that a callback opens without an id stays.
func TestAConnectionOfACallStays(t *testing.T) {
	t.Parallel()
	s, g := newStateful(t, nil), newGateway(t)
	r := s.start()
	s.do(journal.Command{Do: "connect", URL: g.address()})
	p := g.accept(t)
	for n := range 2 {
		s.set(r, fmt.Sprint(n))
	}
	s.awaitBeats(4)
	p.says(t, "hello")
	s.journal.AwaitCount(t, "text", 1)
	s.awaitConnections(1)
}
