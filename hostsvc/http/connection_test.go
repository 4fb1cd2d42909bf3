package http_test

import (
	"context"
	"errors"
	"net"
	nethttp "net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/pluginhost/pluginhost/hostsvc/http"
	api "github.com/pluginhost/pluginhost/sdk/api/host/http"
)

func TestConnectionsAreReused(t *testing.T) {
	t.Parallel()
	var connections atomic.Int32
	server := httptest.NewUnstartedServer(nethttp.HandlerFunc(func(nethttp.ResponseWriter, *nethttp.Request) {}))
	server.Config.ConnState = func(_ net.Conn, state nethttp.ConnState) {
		if state == nethttp.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	service := newService(t, anywhere())
	for range 3 {
		if got := get(t, service, server.URL); got.Error != "" {
			t.Fatal(got.Error)
		}
	}
	if n := connections.Load(); n != 1 {
		t.Fatalf("%d connections for three requests", n)
	}
}

func TestCloseClosesIdleConnections(t *testing.T) {
	t.Parallel()
	server := serve(t, func(nethttp.ResponseWriter, *nethttp.Request) {})
	service := newService(t, anywhere())
	get(t, service, server.URL)
	if n := service.Connections(); n != 1 {
		t.Fatalf("%d connections after a request, want one that is idle", n)
	}
	_ = service.Close()
	if n := service.Connections(); n != 0 {
		t.Fatalf("%d connections after Close", n)
	}
}

// silent accepts connections and never says a word, as a server that stalls the TLS
// handshake does. It counts them and closes them at the end of the test.
func silent(t *testing.T) (address string, accepted *atomic.Int32, ended chan struct{}) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	accepted, ended = new(atomic.Int32), make(chan struct{}, 1000)
	var readers sync.WaitGroup
	readers.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			accepted.Add(1)
			readers.Go(func() {
				buffer := make([]byte, 1024)
				for err := error(nil); err == nil; {
					_, err = conn.Read(buffer)
				}
				_ = conn.Close()
				ended <- struct{}{}
			})
		}
	})
	t.Cleanup(func() { _ = listener.Close(); readers.Wait() })
	return listener.Addr().String(), accepted, ended
}

func TestTheConnectionsOfAPluginAreBounded(t *testing.T) {
	t.Parallel()
	address, accepted, ended := silent(t)
	service, err := http.New(anywhere())
	if err != nil {
		t.Fatal(err)
	}
	var calls sync.WaitGroup
	for range 2 * http.MaxConnections {
		calls.Go(func() {
			got := request(t.Context(), t, service, "GET", &api.HttpRequest{Url: "https://" + address, TimeoutMs: 500})
			if !strings.Contains(got.Error, "deadline exceeded") {
				t.Errorf("got %d, error %q", got.Status, got.Error)
			}
		})
	}
	calls.Wait()
	// The exchanges are over, their handshakes are not: Close ends them.
	_ = service.Close()
	n := accepted.Load()
	if n == 0 || n > http.MaxConnections {
		t.Errorf("%d connections for %d requests, want at most %d", n, 2*http.MaxConnections, http.MaxConnections)
	}
	for range n {
		<-ended
	}
}

func TestAConnectionGivesItsSlotBack(t *testing.T) {
	t.Parallel()
	server := serve(t, func(w nethttp.ResponseWriter, _ *nethttp.Request) { w.Header().Set("Connection", "close") })
	service := newService(t, anywhere())
	for i := range 2 * http.MaxConnections {
		if got := get(t, service, server.URL); got.Status != 200 {
			t.Fatalf("request %d: got %d, error %q", i, got.Status, got.Error)
		}
	}
}

func TestADialThatFailsGivesItsSlotBack(t *testing.T) {
	t.Parallel()
	service := newService(t, anywhere())
	for i := range 2 * http.MaxConnections {
		if got := get(t, service, "http://127.0.0.1:1"); !strings.Contains(got.Error, "refused") {
			t.Fatalf("request %d: error %q", i, got.Error)
		}
	}
}

// waiting is a resolver that answers when its context ends.
type waiting struct{ ended chan error }

func (w waiting) LookupNetIP(ctx context.Context, _, _ string) ([]netip.Addr, error) {
	<-ctx.Done()
	w.ended <- ctx.Err()
	return nil, ctx.Err()
}

func TestADialEndsWithItsExchange(t *testing.T) {
	t.Parallel()
	resolver := waiting{make(chan error, 1)}
	config := anywhere()
	config.Resolver = resolver
	service := newService(t, config)
	got := request(t.Context(), t, service, "GET", &api.HttpRequest{Url: "http://slow.example/", TimeoutMs: 100})
	if !strings.Contains(got.Error, "context deadline exceeded") {
		t.Errorf("got %d, error %q", got.Status, got.Error)
	}
	// Left alone it would end at a deadline of its own.
	if err := <-resolver.ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the dial ended with %v", err)
	}
}
