package netguard_test

import (
	"net"
	"net/netip"
	"testing"

	"github.com/pluginhost/pluginhost/hostsvc/netguard"
)

func TestWhichAddressesAreThisMachines(t *testing.T) {
	want := map[string]bool{
		"127.0.0.1": true, "127.1.2.3": true, "::1": true, "::ffff:127.0.0.1": true, "64:ff9b::127.0.0.1": true,
		"0.0.0.0": true, "::": true,
		"8.8.8.8": false, "203.0.113.9": false, "2001:db8::9": false, "64:ff9b::8.8.8.8": false,
	}
	interfaces, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range interfaces {
		addrs, err := i.Addrs()
		if err != nil {
			t.Fatal(err)
		}
		for _, addr := range addrs {
			if prefix, err := netip.ParsePrefix(addr.String()); err == nil {
				own := prefix.Addr()
				if own.Is6() && own.IsLinkLocalUnicast() {
					own = own.WithZone(i.Name)
				}
				want[own.String()] = true
			}
		}
	}
	for text, want := range want {
		told, untold := netguard.IsHere(t.Context(), netip.MustParseAddr(text))
		if told != want || untold != want {
			t.Errorf("%s: %t, and %t where the system does not tell its interfaces; want %t", text, told, untold, want)
		}
	}
}
