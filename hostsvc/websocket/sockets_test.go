package websocket_test

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/hostsvc/websocket"
	api "github.com/pluginhost/pluginhost/sdk/api/host/websocket"
)

// names is a resolver with a fixed list of names.
type names map[string]string

func (n names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if addr, ok := n[host]; ok {
		return []netip.Addr{netip.MustParseAddr(addr)}, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

// local keeps connections in the process of the test.
type local struct {
	mu          sync.Mutex
	connections map[string]*running
	closed      []string // ids in the order they were closed in
}

// running is a connection that runs; what it received and how it ended are in its
// channels.
type running struct {
	*websocket.Connection
	messages chan websocket.Message
	end      chan websocket.End
}

// run runs a connection until the test ends.
func run(t testing.TB, conn *websocket.Connection) *running {
	t.Helper()
	r := &running{Connection: conn, messages: make(chan websocket.Message, 1000), end: make(chan websocket.End, 1)}
	runWith(t, r, func(m websocket.Message) error { r.messages <- m; return nil })
	return r
}

func runWith(t testing.TB, r *running, handle func(websocket.Message) error) {
	var done sync.WaitGroup
	ctx := t.Context()
	done.Go(func() { r.end <- r.Run(ctx, handle) })
	t.Cleanup(func() { r.Abort(); done.Wait() })
}

func newLocal(t testing.TB) *local {
	l := &local{connections: map[string]*running{}}
	t.Cleanup(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, r := range l.connections {
			r.Abort()
		}
	})
	return l
}

func (l *local) Connect(ctx context.Context, opening websocket.Opening) error {
	id := opening.ID
	l.mu.Lock()
	defer l.mu.Unlock()
	if old, ok := l.connections[id]; ok {
		l.closed = append(l.closed, id)
		old.Abort()
		delete(l.connections, id)
	}
	conn, err := opening.Dial(ctx)
	if err != nil {
		return err
	}
	l.connections[id] = &running{Connection: conn}
	return nil
}

func (l *local) find(id string) (*running, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r, ok := l.connections[id]; ok {
		return r, nil
	}
	return nil, websocket.ErrNotFound
}

func (l *local) Send(ctx context.Context, id string, message websocket.Message) error {
	r, err := l.find(id)
	if err != nil {
		return err
	}
	return r.Send(ctx, message)
}

func (l *local) Close(_ context.Context, id string, code int, reason string) error {
	r, err := l.find(id)
	if err != nil {
		return err
	}
	l.mu.Lock()
	delete(l.connections, id)
	l.mu.Unlock()
	return r.Close(code, reason)
}

// anywhere is a configuration that allows every address.
func anywhere() websocket.Config {
	return websocket.Config{AllowedURLs: []string{"*"}, AllowLocalNetwork: true}
}

func newService(t testing.TB, config websocket.Config) (*websocket.Service, *local) {
	t.Helper()
	sockets := newLocal(t)
	config.Sockets = sockets
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	service, err := websocket.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return service, sockets
}

func connect(t testing.TB, service *websocket.Service, request *api.ConnectRequest) *api.ConnectResponse {
	t.Helper()
	response, err := service.Connect(t.Context(), request)
	if err != nil {
		t.Fatalf("a Go error: %v", err)
	}
	return response
}

// dialled returns a new connection that nobody runs yet.
func dialled(t testing.TB, config websocket.Config, url string) *websocket.Connection {
	t.Helper()
	service, sockets := newService(t, config)
	if response := connect(t, service, &api.ConnectRequest{Url: url, ConnectionId: "c"}); response.Error != "" {
		t.Fatal(response.Error)
	}
	r, err := sockets.find("c")
	if err != nil {
		t.Fatal(err)
	}
	return r.Connection
}

// patient is how long a test waits for what must come.
const patient = 30 * time.Second

// await returns what comes, and fails the test when nothing does.
func await[T any](t testing.TB, what string, from <-chan T) T {
	t.Helper()
	select {
	case got := <-from:
		return got
	case <-time.After(patient):
		t.Fatalf("no %s came", what)
		panic("unreachable")
	}
}
