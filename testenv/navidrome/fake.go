package navidrome

import (
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// UserHeader is the header in which a Fake trusts a user name.
const UserHeader = "Remote-User"

// Fake is the server. All its methods can be called at any time.
type Fake struct {
	// URL is the address with the base path, without a slash at the end. It stays the
	// same over Stop and Restart.
	URL string
	// UserHeader is the header in which the server trusts a user name.
	UserHeader string

	t         testing.TB
	base      string // "" or /path
	untrusted bool
	scrobbled func(user string, r *http.Request)
	wrap      func(http.Handler) http.Handler
	handler   http.Handler
	address   string

	mu       sync.Mutex
	server   *http.Server // nil while stopped
	running  *sync.WaitGroup
	requests []Request
	plays    int
}

// Option changes a Fake before it starts.
type Option func(*Fake)

// WithBasePath puts the server below a path, such as /music.
func WithBasePath(path string) Option {
	return func(f *Fake) {
		if path = strings.Trim(path, "/"); path != "" {
			f.base = "/" + path
		}
	}
}

// WithoutTrust has the server trust nobody's user header: every request fails with
// Subsonic error 40.
func WithoutTrust() Option { return func(f *Fake) { f.untrusted = true } }

// WithScrobble calls hook for each scrobble before it is answered. The hook must
// return when the context of r ends: Stop waits for it.
func WithScrobble(hook func(user string, r *http.Request)) Option {
	return func(f *Fake) { f.scrobbled = hook }
}

// WithHandler lays a handler over the server's, for tests that want it slow or
// broken. Such a handler must return when the context of its request ends.
func WithHandler(wrap func(navidrome http.Handler) http.Handler) Option {
	return func(f *Fake) { f.wrap = wrap }
}

// Start starts a server that is stopped with the test.
func Start(t testing.TB, options ...Option) *Fake {
	t.Helper()
	f := &Fake{UserHeader: UserHeader, t: t, address: "127.0.0.1:0"}
	for _, option := range options {
		option(f)
	}
	f.handler = http.HandlerFunc(f.serve)
	if f.wrap != nil {
		f.handler = f.wrap(f.handler)
	}
	f.handler = f.recorder(f.handler)
	f.Restart()
	f.URL = "http://" + f.address + f.base
	t.Cleanup(f.Stop)
	return f
}

// Handler is what answers the requests, for tests with a listener of their own.
func (f *Fake) Handler() http.Handler { return f.handler }

// Stop closes the listener and all connections, and waits for the handlers. A Fake
// that is stopped already stays so.
func (f *Fake) Stop() {
	f.mu.Lock()
	server, running := f.server, f.running
	f.server, f.running = nil, nil
	f.mu.Unlock()
	if server == nil {
		return
	}
	_ = server.Close()
	running.Wait()
}

// Restart listens again on the port from before Stop. It does nothing while the
// server runs.
func (f *Fake) Restart() {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.server != nil {
		return
	}
	listener, err := net.Listen("tcp", f.address)
	if err != nil {
		f.t.Fatalf("the fake Navidrome cannot listen: %v", err)
	}
	f.address = listener.Addr().String()
	running := &sync.WaitGroup{}
	server := &http.Server{Handler: f.handler, ReadHeaderTimeout: 10 * time.Second, ConnState: func(_ net.Conn, state http.ConnState) {
		switch state { // a connection is closed once its handler has returned
		case http.StateNew:
			running.Add(1)
		case http.StateClosed, http.StateHijacked:
			running.Done()
		default:
		}
	}}
	running.Go(func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			f.t.Errorf("the fake Navidrome failed: %v", err)
		}
	})
	f.server, f.running = server, running
}

// Requests returns what was asked of the server so far, oldest first.
func (f *Fake) Requests() []Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.requests)
}
