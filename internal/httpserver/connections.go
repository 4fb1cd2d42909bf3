package httpserver

import (
	"container/list"
	"log/slog"
	"net"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// warningInterval is how often the log says at the most that connections are closed to
// make room.
const warningInterval = time.Minute

// connections is a listener that has at most so many connections open. A bound that
// lets new connections wait, as netutil.LimitListener does, would have silent clients
// shut out all others: here they give way.
type connections struct {
	*net.TCPListener
	most     int
	patience time.Duration
	log      *slog.Logger
	warnings rate.Sometimes

	mu   sync.Mutex
	open list.List // of *connection; the one whose state changed the longest ago is first
	// freed has a token once a connection was closed or fell silent.
	freed     chan struct{}
	closed    chan struct{}
	closeOnce func() error
}

func newConnections(listener *net.TCPListener, most int, patience time.Duration, log *slog.Logger) *connections {
	c := &connections{
		TCPListener: listener,
		most:        most,
		patience:    patience,
		log:         log,
		warnings:    rate.Sometimes{Interval: warningInterval},
		freed:       make(chan struct{}, 1),
		closed:      make(chan struct{}),
	}
	c.closeOnce = sync.OnceValue(func() error {
		close(c.closed)
		return listener.Close()
	})
	return c
}

// connection embeds what net/http needs to close a connection in good order.
type connection struct {
	*net.TCPConn
	of *connections
	// The rest is guarded by of.mu.
	at     *list.Element // nil once the connection is closed
	active bool          // a request runs
	since  time.Time     // active or silent
}

// Accept waits for a connection and makes room for it.
func (c *connections) Accept() (net.Conn, error) {
	tcp, err := c.AcceptTCP()
	if err != nil {
		return nil, err
	}
	conn := &connection{TCPConn: tcp, of: c}
	for {
		victim, wait := c.place(conn)
		switch {
		case victim != nil:
			c.warnings.Do(func() {
				c.log.Warn("the oldest connections are closed: there are as many as there may be", "connections", c.most)
			})
			_ = victim.Close()
		case wait == 0:
			return conn, nil
		default:
			if !c.await(wait) {
				_ = tcp.Close()
				return nil, net.ErrClosed
			}
		}
	}
}

// place keeps a place for a new connection. If there is none, it returns the connection
// that must give way, or how long to wait until one must.
func (c *connections) place(conn *connection) (victim *connection, wait time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if c.open.Len() < c.most {
		conn.since, conn.at = now, c.open.PushBack(conn)
		return nil, 0
	}
	for at := c.open.Front(); at != nil; at = at.Next() {
		if open := at.Value.(*connection); !open.active {
			return open, 0
		}
	}
	longest := c.open.Front().Value.(*connection)
	if wait = c.patience - now.Sub(longest.since); wait > 0 {
		return nil, wait
	}
	return longest, 0
}

// await waits until a connection can give way. It returns false if the listener was
// closed.
func (c *connections) await(wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-c.freed:
	case <-timer.C:
	case <-c.closed:
		return false
	}
	return true
}

// note notes whether a request runs on a connection: from the end of its header to the
// end of its answer.
func (c *connections) note(of net.Conn, active bool) {
	conn, ok := of.(*connection)
	if !ok {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if conn.at == nil {
		return
	}
	conn.active, conn.since = active, time.Now()
	c.open.MoveToBack(conn.at)
	if !conn.active {
		c.tell()
	}
}

func (c *connections) tell() {
	select {
	case c.freed <- struct{}{}:
	default:
	}
}

// Close ends Accept. The connections stay.
func (c *connections) Close() error { return c.closeOnce() }

// closeSilent closes the connections that have no request.
func (c *connections) closeSilent() {
	c.mu.Lock()
	var silent []*connection
	for at := c.open.Front(); at != nil; at = at.Next() {
		if conn := at.Value.(*connection); !conn.active {
			silent = append(silent, conn)
		}
	}
	c.mu.Unlock()
	for _, conn := range silent {
		_ = conn.Close()
	}
}

// Close closes the connection and gives up its place.
func (c *connection) Close() error {
	err := c.TCPConn.Close()
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	if c.at != nil {
		c.of.open.Remove(c.at)
		c.at = nil
		c.of.tell()
	}
	return err
}
