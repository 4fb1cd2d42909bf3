package netguard_test

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pluginhost/pluginhost/hostsvc/netguard"
)

// own is a list of the host's endpoints that changes.
type own struct {
	endpoints atomic.Pointer[[]netguard.Endpoint]
}

func (o *own) set(endpoints ...netguard.Endpoint) { o.endpoints.Store(&endpoints) }

func (o *own) list() []netguard.Endpoint {
	if endpoints := o.endpoints.Load(); endpoints != nil {
		return *endpoints
	}
	return nil
}

func TestTheHostsOwnEndpointsAreThoseOfTheMoment(t *testing.T) {
	const refused = "requests to the host's own NATS servers are not allowed"
	hosts := &own{}
	guard := newGuard(t, netguard.GuardConfig{AllowLocalNetwork: true, Own: hosts.list, Resolver: names{"nats.example": {"203.0.113.9", "2001:db8::9"}}})
	check := func(want string) {
		t.Helper()
		for _, at := range []string{"203.0.113.9:4222", "[2001:db8::9]:4222", "[64:ff9b::203.0.113.9]:4222"} {
			if got := verdict(guard.Control(t.Context(), "tcp", at, nil)); got != want {
				t.Errorf("dial %s: got %s, want %s", at, got, want)
			}
		}
		if got := verdict(guard.CheckURL(&url.URL{Scheme: "http", Host: "NATS.example.:4222"})); got != want {
			t.Errorf("its name: got %s, want %s", got, want)
		}
		if got := verdict(guard.Control(t.Context(), "tcp", "203.0.113.9:80", nil)); got != "ok" {
			t.Errorf("another port: got %s", got)
		}
	}
	check("ok")
	server := netguard.Endpoint{Name: "the host's own NATS servers", Host: "nats.example", Port: 4222}
	hosts.set(server, server)
	check(refused)
	hosts.set()
	check("ok")
}

func TestAListenerOnEveryAddressIsAtEachOfTheMachine(t *testing.T) {
	for _, listening := range []string{"0.0.0.0", "::", "127.0.0.1", "::1", "localhost"} {
		hosts := &own{}
		hosts.set(netguard.Endpoint{Name: "the host's own HTTP listener", Host: listening, Port: 8080})
		guard := newGuard(t, netguard.GuardConfig{AllowLocalNetwork: true, Own: hosts.list})
		for at, want := range map[string]string{
			"127.0.0.1:8080":              "requests to the host's own HTTP listener are not allowed",
			"127.9.9.9:8080":              "requests to the host's own HTTP listener are not allowed",
			"[::1]:8080":                  "requests to the host's own HTTP listener are not allowed",
			"[::ffff:127.0.0.1]:8080":     "requests to the host's own HTTP listener are not allowed",
			"0.0.0.0:8080":                never,
			"[::]:8080":                   never,
			"127.0.0.1:8081":              "ok",
			"8.8.8.8:8080":                "ok",
			"[2001:4860:4860::8888]:8080": "ok",
		} {
			if got := verdict(guard.Control(t.Context(), "tcp", at, nil)); got != want {
				t.Errorf("a listener at %s, dial %s: got %s, want %s", listening, at, got, want)
			}
		}
	}
}

func TestWhileTheNameOfAnOwnEndpointDoesNotResolveItsLastAddressesCount(t *testing.T) {
	hosts := &own{}
	hosts.set(netguard.Endpoint{Name: "the host's own NATS servers", Host: "nats.example", Port: 4222})
	resolver := &flaky{names: names{"nats.example": {"8.8.4.4"}}, err: errors.New("resolver is down")}
	guard := newGuard(t, netguard.GuardConfig{Own: hosts.list, Resolver: resolver})
	err := guard.Control(t.Context(), "tcp", "8.8.8.8:4222", nil)
	if !errors.Is(err, netguard.ErrDenied) || !strings.Contains(err.Error(), "while the address of the host's own NATS servers is unknown") {
		t.Errorf("before it was ever known: got %v", err)
	}
	resolver.err = nil
	if err := guard.Control(t.Context(), "tcp", "8.8.8.8:4222", nil); err != nil {
		t.Error(err)
	}
	resolver.err = errors.New("resolver is down")
	var blocked *netguard.BlockedError
	if err := guard.Control(t.Context(), "tcp", "8.8.4.4:4222", nil); !errors.As(err, &blocked) || blocked.Addr != netip.MustParseAddr("8.8.4.4") {
		t.Errorf("its last address: got %v", err)
	}
	if err := guard.Control(t.Context(), "tcp", "8.8.8.8:4222", nil); err != nil {
		t.Errorf("another address: got %v", err)
	}
}
