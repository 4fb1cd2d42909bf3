package artwork_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pluginhost/pluginhost/hostsvc/artwork"
)

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func TestTheListenerHoldsNoMoreConnectionsThanItsBound(t *testing.T) {
	tcp, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	listener := artwork.NewBounded(tcp, 1)
	defer func() { _ = listener.Close() }()
	dial(t, listener.Addr().String())
	dial(t, listener.Addr().String())
	first, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	var closed atomic.Bool
	early := make(chan bool)
	go func() {
		second, err := listener.Accept()
		early <- !closed.Load()
		if err == nil {
			_ = second.Close()
		}
	}()
	// A third connection completes in the system's queue, so there is time for Accept.
	dial(t, listener.Addr().String())
	closed.Store(true)
	_ = first.Close()
	_ = first.Close() // counts once
	if <-early {
		t.Fatal("the second connection was accepted beside the first")
	}
}

func TestClosingAFullListenerEndsAccept(t *testing.T) {
	tcp, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	listener := artwork.NewBounded(tcp, 1)
	dial(t, listener.Addr().String())
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	ended := make(chan error)
	go func() {
		_, err := listener.Accept()
		ended <- err
	}()
	_ = listener.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Fatalf("got %v", err)
	}
}

func TestConnectionsBeyondTheBoundGetTheirTurn(t *testing.T) {
	server, err := artwork.ListenBounded(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }), 1)
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		conn := dial(t, server.Address())
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
	}
	server.Stop(t.Context())
}

func TestStopWaitsForRequestsAsLongAsItMay(t *testing.T) {
	for _, patient := range []bool{true, false} {
		started, release := make(chan struct{}), make(chan struct{})
		server, err := artwork.ListenBounded(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			close(started)
			select {
			case <-release:
				_, _ = io.WriteString(w, "done")
			case <-r.Context().Done():
			}
		}), 10)
		if err != nil {
			t.Fatal(err)
		}
		answers := make(chan string)
		transport := &http.Transport{}
		go func() {
			p := public{url: "http://" + server.Address(), client: &http.Client{Transport: transport}}
			got, _ := p.ask(context.WithoutCancel(t.Context()), http.MethodGet, "/")
			answers <- got.body
		}()
		<-started
		ctx, cancel := context.WithCancel(t.Context())
		stopped := make(chan struct{})
		go func() {
			server.Stop(ctx)
			close(stopped)
		}()
		if patient {
			close(release)
			if answer := <-answers; answer != "done" {
				t.Errorf("patient: got %q", answer)
			}
		} else {
			cancel()
			if answer := <-answers; answer != "" {
				t.Errorf("impatient: got %q", answer)
			}
		}
		<-stopped
		cancel()
		transport.CloseIdleConnections()
		if conn, err := net.Dial("tcp", server.Address()); err == nil {
			_ = conn.Close()
			t.Error("the stopped server still listens")
		}
	}
}

func TestAnAddressThatCannotBeUsedIsAnError(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	server, err := artwork.Listen("127.0.0.1:0", http.NotFoundHandler(), log)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop(t.Context())
	for _, address := range []string{server.Address(), "127.0.0.1", "127.0.0.1:http-nonsense"} {
		second, err := artwork.Listen(address, http.NotFoundHandler(), log)
		if err == nil {
			second.Stop(t.Context())
		}
		if err == nil || !strings.Contains(err.Error(), "[Navidrome] ArtworkListen") {
			t.Errorf("%s: got %v", address, err)
		}
	}
}
