package netguard_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"testing"

	"github.com/pluginhost/pluginhost/hostsvc/netguard"
)

// names is a resolver with a fixed list of names.
type names map[string][]string

func (n names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	var addrs []netip.Addr
	for _, text := range n[host] {
		addrs = append(addrs, netip.MustParseAddr(text))
	}
	if addrs == nil {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return addrs, nil
}

func newGuard(t *testing.T, config netguard.GuardConfig) *netguard.Guard {
	t.Helper()
	guard, err := netguard.NewGuard(config)
	if err != nil {
		t.Fatal(err)
	}
	return guard
}

const (
	localhost = "requests to localhost are not allowed"
	private   = "requests to private IP addresses are not allowed"
	never     = "requests to unspecified, multicast or reserved IP addresses are not allowed"
)

func TestSpecialPurposeAddressesAreNotDialled(t *testing.T) {
	strict := newGuard(t, netguard.GuardConfig{})
	local := newGuard(t, netguard.GuardConfig{AllowLocalNetwork: true})
	for _, test := range []struct {
		addr          string
		strict, local string
	}{
		// Public.
		{"8.8.8.8", "ok", "ok"},
		{"1.1.1.1", "ok", "ok"},
		{"208.67.222.222", "ok", "ok"},
		{"9.255.255.255", "ok", "ok"},
		{"11.0.0.0", "ok", "ok"},
		{"100.63.255.255", "ok", "ok"},
		{"100.128.0.0", "ok", "ok"},
		{"126.255.255.255", "ok", "ok"},
		{"128.0.0.0", "ok", "ok"},
		{"169.253.255.255", "ok", "ok"},
		{"169.255.0.0", "ok", "ok"},
		{"172.15.255.255", "ok", "ok"},
		{"172.32.0.1", "ok", "ok"},
		{"192.167.255.255", "ok", "ok"},
		{"192.169.0.0", "ok", "ok"},
		{"192.0.1.0", "ok", "ok"},
		{"198.17.255.255", "ok", "ok"},
		{"198.20.0.0", "ok", "ok"},
		{"223.255.255.255", "ok", "ok"},
		{"2001:4860:4860::8888", "ok", "ok"},
		{"2606:4700:4700::1111", "ok", "ok"},
		{"2001:200::1", "ok", "ok"},
		{"fbff::1", "ok", "ok"},

		// IPv4.
		{"0.0.0.0", never, never},
		{"0.1.2.3", never, never},
		{"10.0.0.0", private, "ok"},
		{"10.255.255.255", private, "ok"},
		{"100.64.0.1", private, "ok"},
		{"100.127.255.255", private, "ok"},
		{"127.0.0.1", localhost, "ok"},
		{"127.255.255.254", localhost, "ok"},
		{"169.254.169.254", private, "ok"},
		{"172.16.0.1", private, "ok"},
		{"172.31.255.255", private, "ok"},
		{"192.0.0.8", private, "ok"},
		{"192.0.2.1", private, "ok"},
		{"192.31.196.1", private, "ok"},
		{"192.52.193.1", private, "ok"},
		{"192.88.99.1", private, "ok"},
		{"192.168.0.1", private, "ok"},
		{"192.168.255.255", private, "ok"},
		{"192.175.48.1", private, "ok"},
		{"198.18.0.1", private, "ok"},
		{"198.19.255.255", private, "ok"},
		{"198.51.100.1", private, "ok"},
		{"203.0.113.1", private, "ok"},
		{"224.0.0.1", never, never},
		{"239.255.255.255", never, never},
		{"240.0.0.1", never, never},
		{"255.255.255.255", never, never},

		// IPv6.
		{"::", never, never},
		{"::1", localhost, "ok"},
		{"::7f00:1", never, never},
		{"100::1", private, "ok"},
		{"100:0:0:1::1", private, "ok"},
		{"2001:2::1", private, "ok"},
		{"2001:10::1", private, "ok"},
		{"2001:20::1", private, "ok"},
		{"2001:1ff::1", private, "ok"},
		{"2001:db8::1", private, "ok"},
		{"2620:4f:8000::1", private, "ok"},
		{"3fff:fff::1", private, "ok"},
		{"5f00::1", private, "ok"},
		{"fc00::1", private, "ok"},
		{"fd00::1", private, "ok"},
		{"fe80::1", private, "ok"},
		{"febf::1", private, "ok"},
		{"fec0::1", private, "ok"},
		{"ff02::1", never, never},
		{"fe80::1%eth0", private, "ok"},
		{"2001:4860::1%eth0", private, "ok"},

		// IPv4 inside of IPv6.
		{"::ffff:8.8.8.8", "ok", "ok"},
		{"::ffff:127.0.0.1", localhost, "ok"},
		{"::ffff:10.0.0.1", private, "ok"},
		{"::ffff:0.0.0.0", never, never},
		{"64:ff9b::8.8.8.8", "ok", "ok"},
		{"64:ff9b::127.0.0.1", localhost, "ok"},
		{"64:ff9b::10.0.0.1", private, "ok"},
		{"64:ff9b::224.0.0.1", never, never},
		{"64:ff9b:1::8.8.8.8", private, "ok"},
		{"64:ff9b:1:7f00:0:100::", private, "ok"},
		{"2002:808:808::1", "ok", "ok"},
		{"2002:7f00:1::1", localhost, "ok"},
		{"2002:c0a8:101::1", private, "ok"},
		{"2002::1", never, never},
		{"2001:0:808:808:0:0:f7f7:f7f7", "ok", "ok"},      // client 8.8.8.8
		{"2001:0:808:808:0:0:80ff:fffe", localhost, "ok"}, // client 127.0.0.1
		{"2001:0:808:808:0:0:3f57:fefe", private, "ok"},   // client 192.168.1.1
	} {
		at := netip.AddrPortFrom(netip.MustParseAddr(test.addr), 80).String()
		if got := verdict(strict.Control(t.Context(), "tcp", at, nil)); got != test.strict {
			t.Errorf("%s: got %s, want %s", test.addr, got, test.strict)
		}
		if got := verdict(local.Control(t.Context(), "tcp", at, nil)); got != test.local {
			t.Errorf("%s with allowLocalNetwork: got %s, want %s", test.addr, got, test.local)
		}
	}
}

// The rows of the original's local network check, and what got past it.
func TestLocalURLsAreRefusedByTheirText(t *testing.T) {
	strict := newGuard(t, netguard.GuardConfig{})
	local := newGuard(t, netguard.GuardConfig{AllowLocalNetwork: true})
	for _, test := range []struct{ url, strict, local string }{
		{"http://localhost/", localhost, "ok"},
		{"http://127.0.0.1/", localhost, "ok"},
		{"http://[::1]/", localhost, "ok"},
		{"http://192.168.1.1/", private, "ok"},
		{"http://10.0.0.1/", private, "ok"},
		{"http://172.16.0.1/", private, "ok"},
		{"http://8.8.8.8/", "ok", "ok"},
		{"http://example.com/", "ok", "ok"},
		{"http://localhost.example.com/", "ok", "ok"},
		{"http://localhost./", localhost, "ok"},
		{"http://LOCALHOST:8080/", localhost, "ok"},
		{"http://a.localhost/", localhost, "ok"},
		{"http://0.0.0.0/", never, never},
		{"http://[::]/", never, never},
		{"http://100.64.0.1/", private, "ok"},
		{"http://[fe80::1%25eth0]/", private, "ok"},
		{"http://[::ffff:127.0.0.1]/", localhost, "ok"},
	} {
		u, err := url.Parse(test.url)
		if err != nil {
			t.Fatal(err)
		}
		if got := verdict(strict.CheckURL(u)); got != test.strict {
			t.Errorf("%s: got %s, want %s", test.url, got, test.strict)
		}
		if got := verdict(local.CheckURL(u)); got != test.local {
			t.Errorf("%s with allowLocalNetwork: got %s, want %s", test.url, got, test.local)
		}
	}
}

func TestOnlyTCPIsDialled(t *testing.T) {
	guard := newGuard(t, netguard.GuardConfig{AllowLocalNetwork: true})
	for _, network := range []string{"udp", "unix", "ip"} {
		if err := guard.Control(t.Context(), network, "8.8.8.8:53", nil); err == nil {
			t.Errorf("%s: allowed", network)
		}
	}
	if err := guard.Control(t.Context(), "tcp", "example.com:53", nil); err == nil {
		t.Error("a name instead of an address: allowed")
	}
}

func TestADeniedEndpointIsRefusedUnderEveryNameAndAddress(t *testing.T) {
	const refused = "requests to Navidrome are not allowed"
	resolver := names{
		"music.example": {"203.0.113.9", "2001:db8::9"},
		"here.example":  {"127.0.0.1"},
	}
	for _, test := range []struct {
		navidrome string
		urls      map[string]string // CheckURL
		dials     map[string]string // Control
	}{
		{
			navidrome: "https://Music.Example./app",
			urls: map[string]string{
				"https://music.example/":         refused,
				"https://MUSIC.example.:443/x":   refused,
				"wss://music.example/x":          refused,
				"http://music.example:443/":      refused,
				"http://music.example/":          "ok",
				"https://music.example:8443/":    "ok",
				"https://music.example.evil.com": "ok",
			},
			dials: map[string]string{
				"203.0.113.9:443":              refused,
				"[::ffff:203.0.113.9]:443":     refused,
				"[64:ff9b::203.0.113.9]:443":   refused,
				"[2002:cb00:7109::1]:443":      refused,
				"[2001:db8::9]:443":            refused,
				"[2001:db8::9%eth0]:443":       refused,
				"203.0.113.9:80":               "ok",
				"203.0.113.10:443":             "ok",
				"127.0.0.1:443":                "ok",
				"[64:ff9b::203.0.113.10]:443":  "ok",
				"[2002:cb00:7109::1]:8443":     "ok",
				"[2001:db8::9]:80":             "ok",
				"[::ffff:203.0.113.9]:1":       "ok",
				"[2001:db8:0:0:0:0:0:009]:443": refused,
			},
		},
		{
			navidrome: "http://127.0.0.1:4533",
			urls: map[string]string{
				"http://127.0.0.1:4533/":          refused,
				"http://[::ffff:127.0.0.1]:4533/": refused,
				"http://127.0.0.1:4534/":          "ok",
			},
			dials: map[string]string{
				"127.0.0.1:4533": refused,
				"127.0.0.2:4533": refused, // the same machine
				"[::1]:4533":     refused,
				"127.0.0.1:4534": "ok",
				"8.8.8.8:4533":   "ok",
			},
		},
		{
			navidrome: "http://localhost:4533",
			urls:      map[string]string{"http://localhost:4533/": refused},
			dials:     map[string]string{"127.0.0.1:4533": refused, "[::1]:4533": refused},
		},
		{
			navidrome: "http://here.example",
			urls:      map[string]string{"http://here.example:80/": refused},
			dials:     map[string]string{"127.0.0.1:80": refused, "[::1]:80": refused, "127.0.0.1:81": "ok"},
		},
		{
			navidrome: "http://no-such-name.example",
			urls:      map[string]string{"http://no-such-name.example/": refused},
			dials:     map[string]string{"8.8.8.8:80": "ok"},
		},
	} {
		u, err := url.Parse(test.navidrome)
		if err != nil {
			t.Fatal(err)
		}
		endpoint, err := netguard.EndpointOf("Navidrome", u)
		if err != nil {
			t.Fatal(err)
		}
		guard := newGuard(t, netguard.GuardConfig{AllowLocalNetwork: true, Denied: []netguard.Endpoint{endpoint}, Resolver: resolver})
		for rawURL, want := range test.urls {
			u, err := url.Parse(rawURL)
			if err != nil {
				t.Fatal(err)
			}
			if got := verdict(guard.CheckURL(u)); got != want {
				t.Errorf("Navidrome at %s, URL %s: got %s, want %s", test.navidrome, rawURL, got, want)
			}
		}
		for at, want := range test.dials {
			if got := verdict(guard.Control(t.Context(), "tcp", at, nil)); got != want {
				t.Errorf("Navidrome at %s, dial %s: got %s, want %s", test.navidrome, at, got, want)
			}
		}
	}
}

func TestAllAddressesOfThisMachineAreOneEndpoint(t *testing.T) {
	interfaces, err := net.InterfaceAddrs()
	if err != nil {
		t.Skip("the interfaces of this machine are not known:", err)
	}
	guard := newGuard(t, netguard.GuardConfig{
		AllowLocalNetwork: true,
		Denied:            []netguard.Endpoint{{Name: "Navidrome", Host: "127.0.0.1", Port: 4533}},
	})
	for _, addr := range interfaces {
		own, err := netip.ParsePrefix(addr.String())
		if err != nil {
			continue
		}
		at := netip.AddrPortFrom(own.Addr(), 4533).String()
		if err := guard.Control(t.Context(), "tcp", at, nil); !errors.Is(err, netguard.ErrDenied) {
			t.Errorf("%s: got %v, want ErrDenied", at, err)
		}
	}
}

// flaky is a resolver that fails on demand.
type flaky struct {
	names
	err error
}

func (f *flaky) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	if f.err != nil {
		return nil, f.err
	}
	return f.names.LookupNetIP(ctx, network, host)
}

func TestWhileTheDeniedNameDoesNotResolve(t *testing.T) {
	denied := []netguard.Endpoint{{Name: "Navidrome", Host: "music.example", Port: 443}}
	broken := errors.New("resolver is down")

	t.Run("its port is closed to all", func(t *testing.T) {
		guard := newGuard(t, netguard.GuardConfig{Denied: denied, Resolver: &flaky{err: broken}})
		err := guard.Control(t.Context(), "tcp", "8.8.8.8:443", nil)
		if !errors.Is(err, netguard.ErrDenied) || !errors.Is(err, broken) {
			t.Fatalf("got %v, want ErrDenied because of the resolver", err)
		}
	})
	t.Run("other ports stay open", func(t *testing.T) {
		guard := newGuard(t, netguard.GuardConfig{Denied: denied, Resolver: &flaky{err: broken}})
		if err := guard.Control(t.Context(), "tcp", "8.8.8.8:80", nil); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("the last known addresses count", func(t *testing.T) {
		resolver := &flaky{names: names{"music.example": {"8.8.4.4"}}}
		guard := newGuard(t, netguard.GuardConfig{Denied: denied, Resolver: resolver})
		if err := guard.Control(t.Context(), "tcp", "8.8.8.8:443", nil); err != nil {
			t.Fatal(err)
		}
		resolver.err = broken
		if err := guard.Control(t.Context(), "tcp", "8.8.8.8:443", nil); err != nil {
			t.Errorf("another address: %v", err)
		}
		if err := guard.Control(t.Context(), "tcp", "8.8.4.4:443", nil); !errors.Is(err, netguard.ErrDenied) {
			t.Errorf("the last known address: got %v, want ErrDenied", err)
		}
	})
}

func TestABadEndpointIsRefused(t *testing.T) {
	for name, endpoint := range map[string]netguard.Endpoint{
		"no host":  {Name: "Navidrome", Port: 80},
		"no port":  {Name: "Navidrome", Host: "music.example"},
		"bad host": {Name: "Navidrome", Host: "music example", Port: 80},
	} {
		if _, err := netguard.NewGuard(netguard.GuardConfig{Denied: []netguard.Endpoint{endpoint}}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for _, rawURL := range []string{"/just/a/path", "ftp://music.example", "http://"} {
		u, err := url.Parse(rawURL)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := netguard.EndpointOf("Navidrome", u); err == nil {
			t.Errorf("%s: accepted", rawURL)
		}
	}
}
