package httpserver

import (
	"container/list"
	"log/slog"
	"net"
	"net/http"
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

	mu       sync.Mutex
	open     list.List // of *connection; the one whose state changed the longest ago is first
	requests int       // of HTTP/2, until their answers are taken
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
	at       *list.Element // nil once the connection is closed
	active   bool          // from the end of the header of a request to the end of its answer
	running  int           // handlers; HTTP/2 has several at once
	answered int           // requests whose handlers are over, and whose answers are not taken; those of HTTP/2 only
	since    time.Time     // active or not
	cut      bool          // closed to make room for requests: those of its own are no longer counted
	left     time.Time     // a handler was over before its answer was taken, or its body had come; zero is that there is none
}

// givesWay is when the connection gives way to a new one.
func (c *connection) givesWay() time.Time {
	switch {
	case c.running > 0:
		return c.since.Add(c.of.patience)
	case c.active && !c.left.IsZero(): // whoever does not take the answer, or does not send the body, shall keep nobody out
		return c.left.Add(min(c.of.patience, lingering))
	case c.active: // its handler is about to run
		return c.since.Add(c.of.patience)
	default:
		return c.since
	}
}

// lingering is how long a connection keeps its place for what is left of a request once its handler is over, if others want it.
const lingering = time.Second

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
	var first *connection
	for at := c.open.Front(); at != nil; at = at.Next() {
		open := at.Value.(*connection)
		if !open.active {
			return open, 0
		}
		if first == nil || open.givesWay().Before(first.givesWay()) {
			first = open
		}
	}
	if wait = first.givesWay().Sub(now); wait > 0 {
		return nil, wait
	}
	return first, 0
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

// note notes whether a connection has a request: from the end of its header to the
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
	conn.active, conn.since, conn.left = active, time.Now(), time.Time{}
	c.open.MoveToBack(conn.at)
	if !conn.active {
		c.tell()
	}
}

// serve runs the handler of a request.
func (c *connections) serve(conn *connection, handler http.Handler, w http.ResponseWriter, r *http.Request) {
	several := r.ProtoMajor > 1
	if several && !c.makeRoom(conn) {
		panic(http.ErrAbortHandler) // which ends this request alone, without an answer that would take memory
	}
	c.begin(conn)
	defer c.end(conn, several)
	c.handle(conn, handler, w, r)
	if several {
		_ = http.NewResponseController(w).Flush() // which waits for a client that does not take it
	}
}

func (c *connections) handle(conn *connection, handler http.Handler, w http.ResponseWriter, r *http.Request) {
	defer c.leave(conn)
	handler.ServeHTTP(w, r)
}

func (c *connections) begin(conn *connection) {
	c.mu.Lock()
	defer c.mu.Unlock()
	conn.running++
}

// leave notes that a handler is over, and its answer not taken yet.
func (c *connections) leave(conn *connection) {
	c.mu.Lock()
	defer c.mu.Unlock()
	conn.running--
	if conn.answered++; conn.answered == 1 {
		conn.left = time.Now()
	}
	c.tell()
}

// end notes that an answer of HTTP/2 is taken; note is told of those of HTTP/1.
func (c *connections) end(conn *connection, several bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	conn.answered--
	if !several {
		return
	}
	if !conn.cut {
		c.requests--
	}
	if conn.answered == 0 {
		conn.left = time.Time{}
	}
}

// makeRoom counts a request of HTTP/2, until end. While there are as many as may be, the connection gives way that leaves the most
// answers lying about; if there is none, or it is that of the request itself, it returns false.
func (c *connections) makeRoom(conn *connection) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if conn.cut {
		return false
	}
	var victim *connection
	if c.requests >= requestsOfEach*c.most {
		for at := c.open.Front(); at != nil; at = at.Next() {
			if open := at.Value.(*connection); open.running == 0 && open.answered > 0 && (victim == nil || open.answered > victim.answered) {
				victim = open
			}
		}
		if victim == nil {
			return false
		}
		c.requests -= victim.answered // which end in a moment; until then nobody else shall be refused
		victim.cut = true
		c.forget(victim)
		_ = victim.TCPConn.Close()
		if victim == conn {
			return false
		}
	}
	c.requests++
	return true
}

// forget gives up the place of a connection.
func (c *connections) forget(conn *connection) {
	if conn.at != nil {
		c.open.Remove(conn.at)
		conn.at = nil
		c.tell()
	}
}

// requestsOfEach is how many requests of HTTP/2 there may be for each connection that there may be, counted together.
const requestsOfEach = 2

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
	c.of.forget(c)
	return err
}
