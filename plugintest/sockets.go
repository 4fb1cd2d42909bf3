package plugintest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	hostwebsocket "github.com/pluginhost/pluginhost/hostsvc/websocket"
)

var errOver = errors.New("the test is over")

// pingInterval is so long that no test is pinged.
const pingInterval = time.Hour

// sockets keeps the plugin's connections and the servers that it can reach.
type sockets struct {
	host    *Host
	running context.Context // until the test is over
	cancel  context.CancelFunc
	done    sync.WaitGroup

	mu          sync.Mutex
	stopped     bool
	servers     map[string]*Server
	connections map[string]*Connection // that have not ended, by id
	ending      []*Connection          // that the plugin has closed or replaced
	beginning   bool                   // OnInit runs
	opened      []*Connection          // by OnInit
}

var _ hostwebsocket.Sockets = (*sockets)(nil)

func newSockets(h *Host) *sockets {
	s := &sockets{host: h, servers: make(map[string]*Server), connections: make(map[string]*Connection)}
	s.running, s.cancel = context.WithCancel(context.Background())
	return s
}

// server returns the server at an address, which it makes.
func (s *sockets) server(target *url.URL) *Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := serverAt(target)
	if s.servers[key] == nil {
		s.servers[key] = &Server{host: s.host, address: withoutQuery(target)}
	}
	return s.servers[key]
}

// serverAt names a server: by scheme, host, port and path.
func serverAt(target *url.URL) string {
	path := target.EscapedPath()
	if path == "" {
		path = "/"
	}
	return originOf(target) + path
}

func withoutQuery(target *url.URL) string {
	address := url.URL{Scheme: target.Scheme, Host: target.Host, Path: target.Path, RawPath: target.RawPath}
	return address.String()
}

// dialling is where a context keeps the connection that is dialled.
type dialling struct{}

// Connect implements websocket.Sockets.
func (s *sockets) Connect(ctx context.Context, opening hostwebsocket.Opening) error {
	if err := s.replace(ctx, opening.ID); err != nil {
		return err
	}
	c := &Connection{host: s.host, id: opening.ID, accepted: make(chan *websocket.Conn, 1), failures: make(map[int]error)}
	attempt := &attempt{connection: c}
	plugin, err := opening.Dial(context.WithValue(ctx, dialling{}, attempt))
	if err != nil {
		if attempt.server != nil {
			attempt.server.change(func() { attempt.server.failure = err.Error() })
		}
		return err
	}
	<-c.accepted
	c.plugin = plugin
	former, err := s.enter(c)
	if err != nil {
		plugin.Abort()
		return err
	}
	if former != nil { // of a call at the same moment
		s.drop(former)
	}
	attempt.server.change(func() { attempt.server.connections = append(attempt.server.connections, c) })
	return nil
}

// attempt is a connection that is being dialled.
type attempt struct {
	connection *Connection
	server     *Server // nil where there is none
}

// dial makes the wire of a connection. The service calls it with the context of Connect.
func (s *sockets) dial(ctx context.Context, target *url.URL) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	attempt, _ := ctx.Value(dialling{}).(*attempt)
	server := s.servers[serverAt(target)]
	switch {
	case s.stopped:
		return nil, errOver
	case server == nil || attempt == nil:
		err := errNoServer(target)
		s.host.log.printf("plugintest: %v", err)
		return nil, err
	}
	near, far := net.Pipe()
	attempt.server = server
	attempt.connection.line = &line{Conn: near}
	s.done.Go(func() { server.accept(attempt.connection, far) })
	return attempt.connection.line, nil
}

// replace closes the connection that has an id, without a word to the plugin. It fails where
// there are too many others.
func (s *sockets) replace(ctx context.Context, id string) error {
	s.mu.Lock()
	former := s.connections[id]
	others := len(s.connections)
	if former != nil {
		others--
	}
	s.mu.Unlock()
	if others >= maxConnections {
		return fmt.Errorf("the plugin has %d connections, [WebSocket] MaxConnections is %d", others, maxConnections)
	}
	if former == nil {
		return nil
	}
	former.change(func() { former.silent = true })
	err := s.Close(ctx, id, websocket.CloseNormalClosure, "replaced by another connection")
	if errors.Is(err, hostwebsocket.ErrNotFound) {
		return nil
	}
	return err
}

// enter keeps a connection and runs it, and returns the one whose place it takes.
func (s *sockets) enter(c *Connection) (former *Connection, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return nil, errOver
	}
	former = s.connections[c.id]
	if former != nil && former.isOver() {
		former = nil
	}
	s.connections[c.id] = c
	if s.beginning {
		s.opened = append(s.opened, c)
	}
	s.done.Go(func() { s.run(c) })
	return former, nil
}

func (c *Connection) isOver() bool {
	over := false
	c.look(func() { over = c.over || c.closing })
	return over
}

// run delivers what a connection receives until it ends, and tells the plugin how.
func (s *sockets) run(c *Connection) {
	end := c.plugin.Run(s.running, func(message hostwebsocket.Message) error { return c.deliver(s.running, message) })
	s.mu.Lock()
	if s.connections[c.id] == c { // the plugin may open another one when it is told
		delete(s.connections, c.id)
	}
	s.mu.Unlock()
	err := c.tellEnd(s.running, end)
	switch {
	case errors.Is(err, errEnded):
		err = nil
	case err != nil:
		s.host.log.printf("plugintest: the last callback of connection %q: %v", c.id, err)
	}
	c.change(func() { c.over, c.final = true, err })
}

// Send implements websocket.Sockets.
func (s *sockets) Send(ctx context.Context, id string, message hostwebsocket.Message) error {
	c := s.find(id)
	if c == nil {
		return hostwebsocket.ErrNotFound
	}
	c.sending.Lock()
	defer c.sending.Unlock()
	if err := c.plugin.Send(ctx, message); err != nil {
		return notFoundOr(err)
	}
	c.sends++
	number := c.sends
	// So that a test finds it when the plugin goes on.
	c.await(ctx, func() bool { return c.arrived >= number || c.deaf })
	return nil
}

// Close implements websocket.Sockets.
func (s *sockets) Close(_ context.Context, id string, code int, reason string) error {
	c := s.find(id)
	if c == nil {
		return hostwebsocket.ErrNotFound
	}
	if err := c.plugin.Close(code, reason); err != nil {
		return notFoundOr(err)
	}
	s.mu.Lock()
	s.ending = append(s.ending, c)
	s.mu.Unlock()
	c.change(func() { c.closing = true })
	return nil
}

func notFoundOr(err error) error {
	if errors.Is(err, hostwebsocket.ErrClosed) {
		return hostwebsocket.ErrNotFound
	}
	return err
}

func (s *sockets) find(id string) *Connection {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.connections[id]
}

// drop ends a connection at once, without a word to the plugin.
func (s *sockets) drop(c *Connection) {
	c.change(func() { c.silent = true })
	c.plugin.Abort()
}

// begin is told that OnInit begins.
func (s *sockets) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.beginning, s.opened = true, nil
}

// begun is told how OnInit has ended: where it has failed, what it opened is closed.
func (s *sockets) begun(ready bool) {
	s.mu.Lock()
	opened := s.opened
	s.beginning, s.opened = false, nil
	s.mu.Unlock()
	if ready {
		return
	}
	for _, c := range opened {
		s.drop(c)
	}
}

// settle waits for the end of what the plugin has closed or replaced.
func (s *sockets) settle(ctx context.Context) error {
	s.mu.Lock()
	ending := s.ending
	s.ending = nil
	s.mu.Unlock()
	for _, c := range ending {
		if !c.await(ctx, func() bool { return c.over }) {
			return fmt.Errorf("the last callback of connection %q is not over: %w", c.id, context.Cause(ctx))
		}
	}
	return nil
}

// stop ends all connections, without a word to the plugin.
func (s *sockets) stop() {
	s.mu.Lock()
	s.stopped = true
	s.mu.Unlock()
	s.cancel()
	s.done.Wait()
}
