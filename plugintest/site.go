package plugintest

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"sync"
	"time"
)

// maxHeaderBytes is how large the headers of an answer may be, as on a host.
const maxHeaderBytes = 256 << 10

// site is a web server that is reached without a network. Whoever has it closes it.
type site struct {
	server    *http.Server
	transport *http.Transport
	line      *switchboard
	serving   sync.WaitGroup

	mu      sync.Mutex
	handler http.Handler
}

func newSite(handler http.Handler, testLog *testLog) *site {
	s := &site{line: newSwitchboard(), handler: handler}
	s.server = &http.Server{Handler: s, ErrorLog: log.New(testLog, "plugintest: ", 0), ReadHeaderTimeout: time.Minute}
	s.transport = &http.Transport{DialContext: s.line.dial, MaxIdleConns: 4, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: maxHeaderBytes}
	s.serving.Go(func() { _ = s.server.Serve(s.line) }) // until it is closed
	return s
}

// ServeHTTP implements http.Handler.
func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	handler := s.handler
	s.mu.Unlock()
	handler.ServeHTTP(w, r)
}

// handle has another handler answer from now on.
func (s *site) handle(handler http.Handler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handler = handler
}

// RoundTrip implements http.RoundTripper. What would go over TLS goes without.
func (s *site) RoundTrip(request *http.Request) (*http.Response, error) {
	plain := request.Clone(request.Context())
	plain.URL.Scheme = "http"
	response, err := s.transport.RoundTrip(plain)
	if response != nil {
		response.Request = request
	}
	return response, err
}

// close waits for requests in flight, or for ctx.
func (s *site) close(ctx context.Context) error {
	s.transport.CloseIdleConnections()
	err := s.server.Shutdown(ctx)
	if err != nil {
		err = fmt.Errorf("a handler does not return: %w", errors.Join(err, s.server.Close()))
	}
	s.serving.Wait()
	return err
}

// switchboard is a net.Listener whose connections are made in memory.
type switchboard struct {
	calls  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newSwitchboard() *switchboard {
	return &switchboard{calls: make(chan net.Conn), closed: make(chan struct{})}
}

func (s *switchboard) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case s.calls <- far:
		return near, nil
	case <-s.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Accept implements net.Listener.
func (s *switchboard) Accept() (net.Conn, error) {
	select {
	case conn := <-s.calls:
		return conn, nil
	case <-s.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (s *switchboard) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

// Addr implements net.Listener.
func (s *switchboard) Addr() net.Addr { return memory{} }

// memory is the address of what is not on a network.
type memory struct{}

func (memory) Network() string { return "memory" }

func (memory) String() string { return "memory" }
