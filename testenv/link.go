package testenv

import (
	"io"
	"net"
	"sync"
	"testing"
)

// Link is a TCP proxy that a test can cut.
type Link struct {
	listener net.Listener
	target   string
	// forth passes on what a client says, back what the target does, until from ends.
	forth, back func(to io.Writer, from io.Reader)
	done        sync.WaitGroup

	mu    sync.Mutex
	cut   bool
	conns map[net.Conn]struct{}
}

// StartLink leads to a target, host:port, until the test ends.
func StartLink(t testing.TB, target string) *Link {
	t.Helper()
	unchanged := func(to io.Writer, from io.Reader) { _, _ = io.Copy(to, from) }
	return startLink(t, target, unchanged, unchanged)
}

func startLink(t testing.TB, target string, forth, back func(to io.Writer, from io.Reader)) *Link {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &Link{listener: listener, target: target, forth: forth, back: back, conns: make(map[net.Conn]struct{})}
	l.done.Go(l.accept)
	t.Cleanup(func() {
		_ = listener.Close()
		l.Cut()
		l.done.Wait()
	})
	return l
}

// Address is where it listens: host:port.
func (l *Link) Address() string { return l.listener.Addr().String() }

// Cut breaks all connections and takes no more until Mend.
func (l *Link) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = true
	for conn := range l.conns {
		_ = conn.Close()
	}
}

// Mend takes connections again.
func (l *Link) Mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = false
}

func (l *Link) accept() {
	for {
		near, err := l.listener.Accept()
		if err != nil {
			return
		}
		l.done.Go(func() { l.connect(near) })
	}
}

func (l *Link) connect(near net.Conn) {
	defer func() { _ = near.Close() }()
	if !l.keep(near) {
		return
	}
	defer l.forget(near)
	far, err := net.Dial("tcp", l.target)
	if err != nil {
		return
	}
	defer func() { _ = far.Close() }()
	if !l.keep(far) {
		return
	}
	defer l.forget(far)
	var both sync.WaitGroup
	pass := func(to, from net.Conn, how func(io.Writer, io.Reader)) {
		how(to, from)
		_ = to.Close()
		_ = from.Close()
	}
	both.Go(func() { pass(near, far, l.back) })
	both.Go(func() { pass(far, near, l.forth) })
	both.Wait()
}

func (l *Link) keep(conn net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		return false
	}
	l.conns[conn] = struct{}{}
	return true
}

func (l *Link) forget(conn net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, conn)
}
