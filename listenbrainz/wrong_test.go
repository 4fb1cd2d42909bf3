package listenbrainz_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/listenbrainz"
)

const tooManyWrong = `503 {"code":503,"error":"too many tokens that are not known came from this address: try again later"}`

// exhaust sends wrong tokens until they are too many.
func exhaust(t *testing.T, d *door, more ...string) {
	t.Helper()
	for i := range listenbrainz.WrongBurst {
		if got := d.ask(t, submit(wrong, play(past, ""), more...)); got.String() != unknown {
			t.Fatalf("%d: %s", i, got)
		}
	}
	if got := d.ask(t, submit(wrong, play(past, ""), more...)); got.String() != tooManyWrong {
		t.Fatal(got)
	}
}

func TestWrongTokensAreBoundedAndRightOnesAreNot(t *testing.T) {
	d := open(t, nil)
	exhaust(t, d)
	if got := d.ask(t, validate(wrong)); got.String() != tooManyWrong {
		t.Error(got)
	}
	for range 3 * listenbrainz.WrongBurst {
		if got := d.ask(t, submit(joes, play(past, ""))); got.String() != ok {
			t.Fatal(got)
		}
	}
	if got := d.ask(t, submit(stuck, play(past, ""))); got.String() != notLooked {
		t.Error(got)
	}
}

func TestBehindAProxyEachClientHasItsOwnBound(t *testing.T) {
	d := open(t, nil, func(c *listenbrainz.Config) {
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	})
	exhaust(t, d, "X-Forwarded-For: 192.0.2.1\r\n")
	if got := d.ask(t, submit(wrong, play(past, ""), "X-Forwarded-For: 192.0.2.2\r\n")); got.String() != unknown {
		t.Error(got)
	}
	if got := d.ask(t, submit(wrong, play(past, ""), "X-Forwarded-For: 192.0.2.3, 192.0.2.1\r\n")); got.String() != tooManyWrong {
		t.Errorf("an address that the client made up counts: %s", got)
	}
}

func TestWhatAClientSaysOfItsAddressDoesNotCount(t *testing.T) {
	d := open(t, nil)
	exhaust(t, d, "X-Forwarded-For: 192.0.2.1\r\n")
	if got := d.ask(t, submit(wrong, play(past, ""), "X-Forwarded-For: 192.0.2.2\r\n")); got.String() != tooManyWrong {
		t.Error(got)
	}
}

func TestTheClientIsTheRightMostAddressThatIsNotTrusted(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}
	for _, test := range []struct {
		name, peer string
		forwarded  []string
		want       string
	}{
		{"no proxy", "192.0.2.1:1", nil, "192.0.2.1"},
		{"a peer that is no proxy", "192.0.2.1:1", []string{"192.0.2.9"}, "192.0.2.1"},
		{"a proxy", "10.0.0.1:1", []string{"192.0.2.9"}, "192.0.2.9"},
		{"a proxy that says nothing", "10.0.0.1:1", nil, "10.0.0.1"},
		{"proxies", "10.0.0.1:1", []string{"192.0.2.8, 192.0.2.9,10.0.0.3 , 10.0.0.2"}, "192.0.2.9"},
		{"lines", "10.0.0.1:1", []string{"192.0.2.8", "192.0.2.9", "10.0.0.2"}, "192.0.2.9"},
		{"proxies only", "10.0.0.1:1", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		{"no address before a proxy", "10.0.0.1:1", []string{"192.0.2.9, unknown, 10.0.0.2"}, "10.0.0.2"},
		{"IPv6", "[2001:db8::1]:1", []string{"2001:db9::9"}, "2001:db9::9"},
		{"IPv6 in brackets", "[2001:db8::1]:1", []string{"[2001:db9::9]"}, "2001:db9::9"},
		{"IPv6 with a port", "[2001:db8::1]:1", []string{"[2001:db9::9]:77"}, "2001:db9::9"},
		{"IPv4 with a port", "10.0.0.1:1", []string{"192.0.2.9:77"}, "192.0.2.9"},
		{"IPv4 as IPv6", "[::ffff:10.0.0.1]:1", []string{"::ffff:192.0.2.9"}, "192.0.2.9"},
		{"a zone", "[fe80::1%eth0]:1", nil, "fe80::1"},
		{"no address at all", "@", []string{"192.0.2.9"}, "invalid IP"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := &http.Request{RemoteAddr: test.peer, Header: http.Header{"X-Forwarded-For": test.forwarded}}
			if got := listenbrainz.Client(r, trusted); got.String() != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestAnAddressIsHeardAgainLater(t *testing.T) {
	w, from, now := listenbrainz.NewWrongTokens(), netip.MustParseAddr("192.0.2.1"), time.Now()
	for w.Allow(from, now) {
	}
	if w.Allow(from, now.Add(listenbrainz.WrongInterval-time.Second)) || !w.Allow(from, now.Add(listenbrainz.WrongInterval)) {
		t.Error("one more is not allowed after the interval")
	}
}

func TestWhoHasANetworkOfIPv6IsOneSender(t *testing.T) {
	w, now := listenbrainz.NewWrongTokens(), time.Now()
	for w.Allow(netip.MustParseAddr("2001:db8::1"), now) {
	}
	if w.Allow(netip.MustParseAddr("2001:db8::2"), now) || !w.Allow(netip.MustParseAddr("2001:db8:0:1::1"), now) {
		t.Error("a network is not one sender")
	}
}

func TestMemoryOfAddressesIsBounded(t *testing.T) {
	w, now := listenbrainz.NewWrongTokens(), time.Now()
	busy := netip.MustParseAddr("192.0.2.1")
	for w.Allow(busy, now) {
	}
	for i := range 2 * listenbrainz.MaxAddresses {
		w.Allow(netip.MustParseAddr(fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255)), now)
		if w.Allow(busy, now) {
			t.Fatal("an address that goes on is forgotten")
		}
	}
	if listed, mapped := w.Addresses(); listed != listenbrainz.MaxAddresses || mapped != listed {
		t.Errorf("%d addresses in the list, %d in the map", listed, mapped)
	}
}
