package netguard_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pluginhost/pluginhost/hostsvc/netguard"
)

// listen accepts connections at 127.0.0.1 and counts them.
func listen(t *testing.T) (port string, accepted *atomic.Int32) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	accepted = new(atomic.Int32)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			accepted.Add(1)
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { _ = listener.Close(); <-done })
	_, port, _ = net.SplitHostPort(listener.Addr().String())
	return port, accepted
}

// rebinding answers with a public address first and a local one from then on.
type rebinding struct{ asked atomic.Int32 }

func (r *rebinding) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	if r.asked.Add(1) == 1 {
		return []netip.Addr{netip.MustParseAddr("8.8.8.8")}, nil
	}
	return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
}

func TestANameThatTurnsLocalAfterTheCheckIsNotDialled(t *testing.T) {
	port, accepted := listen(t)
	resolver := &rebinding{}
	guard := newGuard(t, netguard.GuardConfig{Resolver: resolver})

	// What a check before the dial would have seen.
	first, _ := resolver.LookupNetIP(t.Context(), "ip", "evil.example")
	if err := guard.Control(t.Context(), "tcp", netip.AddrPortFrom(first[0], 80).String(), nil); err != nil {
		t.Fatal(err)
	}
	_, err := guard.DialContext(t.Context(), "tcp", "evil.example:"+port)
	var blocked *netguard.BlockedError
	if !errors.As(err, &blocked) || !errors.Is(err, netguard.ErrLocalNetwork) || blocked.Addr.String() != "127.0.0.1" {
		t.Errorf("got %v, want the dialled address refused", err)
	}
	if n := accepted.Load(); n != 0 {
		t.Errorf("%d connections reached the local server", n)
	}
}

func TestAnAddressOfANameThatWorksIsFound(t *testing.T) {
	port, _ := listen(t)
	for name, addrs := range map[string][]string{
		"the only one":                 {"127.0.0.1"},
		"mapped into IPv6":             {"::ffff:127.0.0.1"},
		"after one nobody listens on":  {"127.0.0.9", "127.0.0.1"},
		"after one of another family":  {"::1", "127.0.0.1"},
		"after one that is refused":    {"0.0.0.0", "ff02::1", "127.0.0.1"},
		"after many nobody listens on": {"127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5", "127.0.0.6", "127.0.0.7", "127.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			guard := newGuard(t, netguard.GuardConfig{AllowLocalNetwork: true, Resolver: names{"a.example": addrs}})
			conn, err := guard.DialContext(t.Context(), "tcp", "a.example:"+port)
			if err != nil {
				t.Fatal(err)
			}
			_ = conn.Close()
		})
	}
}

func TestNoMoreThanEightAddressesAreTried(t *testing.T) {
	port, accepted := listen(t)
	guard := newGuard(t, netguard.GuardConfig{AllowLocalNetwork: true, Resolver: names{"a.example": {
		"127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5", "127.0.0.6", "127.0.0.7", "127.0.0.8", "127.0.0.9", "127.0.0.1",
	}}})
	if _, err := guard.DialContext(t.Context(), "tcp", "a.example:"+port); err == nil || accepted.Load() != 0 {
		t.Fatalf("got %v, %d connections; want the ninth address left alone", err, accepted.Load())
	}
}

func TestLocalhostIsThisMachineWhateverTheResolverSays(t *testing.T) {
	port, accepted := listen(t)
	guard := newGuard(t, netguard.GuardConfig{AllowLocalNetwork: true, Resolver: names{"localhost": {"127.0.0.9"}}})
	conn, err := guard.DialContext(t.Context(), "tcp", "localhost:"+port)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = conn.Read(make([]byte, 1)) // closed by the listener after it has counted
	_ = conn.Close()
	if accepted.Load() != 1 {
		t.Fatal("the connection went elsewhere")
	}
}

func TestADialThatCannotSucceedSaysWhy(t *testing.T) {
	guard := newGuard(t, netguard.GuardConfig{Resolver: names{"empty.example": {}}})
	for address, want := range map[string]string{
		"missing.example:80": "no such host",
		"empty.example:80":   "no such host",
		"127.0.0.1":          "missing port",
		"127.0.0.1:0":        `bad port "0"`,
		"127.0.0.1:":         `bad port ""`,
		"127.0.0.1:http":     `bad port "http"`,
		"bad host:80":        "characters that no host name has",
		"127.0.0.1:80":       "localhost",
		"[fe80::1%lo]:80":    "private",
	} {
		conn, err := guard.DialContext(t.Context(), "tcp", address)
		if err == nil {
			_ = conn.Close()
			t.Errorf("%s: connected", address)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q in it", address, err, want)
		}
	}
}

// blocking is a resolver that answers when its context ends.
type blocking struct{ asked chan struct{} }

func (b blocking) LookupNetIP(ctx context.Context, _, _ string) ([]netip.Addr, error) {
	close(b.asked)
	<-ctx.Done()
	return nil, errors.New("i/o timeout")
}

func TestACancelledDialSaysSo(t *testing.T) {
	resolver := blocking{make(chan struct{})}
	guard := newGuard(t, netguard.GuardConfig{Resolver: resolver})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-resolver.asked
		cancel()
	}()
	if _, err := guard.DialContext(ctx, "tcp", "a.example:80"); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want context.Canceled", err)
	}
}

func TestACancelledConnectSaysSo(t *testing.T) {
	// The check of a dialled address waits for the denied name, and the dial with it.
	resolver := blocking{make(chan struct{})}
	guard := newGuard(t, netguard.GuardConfig{
		AllowLocalNetwork: true,
		Denied:            []netguard.Endpoint{{Name: "Navidrome", Host: "music.example", Port: 9}},
		Resolver:          resolver,
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-resolver.asked
		cancel()
	}()
	if _, err := guard.DialContext(ctx, "tcp", "127.0.0.1:9"); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want context.Canceled", err)
	}
}
