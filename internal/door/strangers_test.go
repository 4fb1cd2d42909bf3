package door_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/internal/door"
)

func TestAnAddressIsHeardAgainLater(t *testing.T) {
	w, from, now := new(door.Strangers), netip.MustParseAddr("192.0.2.1"), time.Now()
	for w.Allow(from, now) {
	}
	if w.Allow(from, now.Add(door.WrongInterval-time.Second)) || !w.Allow(from, now.Add(door.WrongInterval)) {
		t.Error("one more is not allowed after the interval")
	}
}

func TestWhoHasANetworkOfIPv6IsOneSender(t *testing.T) {
	w, now := new(door.Strangers), time.Now()
	for w.Allow(netip.MustParseAddr("2001:db8::1"), now) {
	}
	if w.Allow(netip.MustParseAddr("2001:db8::2"), now) || !w.Allow(netip.MustParseAddr("2001:db8:0:1::1"), now) {
		t.Error("a network is not one sender")
	}
}

func TestMemoryOfAddressesIsBounded(t *testing.T) {
	w, now := new(door.Strangers), time.Now()
	busy := netip.MustParseAddr("192.0.2.1")
	for w.Allow(busy, now) {
	}
	for i := range 2 * door.MaxAddresses {
		w.Allow(netip.MustParseAddr(fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255)), now)
		if w.Allow(busy, now) {
			t.Fatal("an address that goes on is forgotten")
		}
	}
	if listed, mapped := w.Addresses(); listed != door.MaxAddresses || mapped != listed {
		t.Errorf("%d addresses in the list, %d in the map", listed, mapped)
	}
}
