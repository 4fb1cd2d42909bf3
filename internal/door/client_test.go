package door_test

import (
	"net/http"
	"net/netip"
	"testing"

	"github.com/pluginhost/pluginhost/internal/door"
)

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
			if got := door.Client(r, trusted); got.String() != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}
