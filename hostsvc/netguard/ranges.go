package netguard

import "net/netip"

// reach is how far away an address is.
type reach int

const (
	reachPublic   reach = iota
	reachLoopback       // this machine
	reachLocal          // special-purpose: private, link-local, documentation, …
	reachNever          // no single remote host: unspecified, multicast, reserved
)

// specialRanges are the IANA special-purpose address registries for IPv4 and IPv6
// (RFC 6890 and its updates), with the multicast and the deprecated ranges. Ranges
// that hold an IPv4 address are in embeddedIPv4. The first match counts. It is
// never written.
var specialRanges = []struct {
	prefix netip.Prefix
	reach  reach
}{
	{netip.MustParsePrefix("0.0.0.0/8"), reachNever}, // Linux takes 0.0.0.0 for this machine
	{netip.MustParsePrefix("10.0.0.0/8"), reachLocal},
	{netip.MustParsePrefix("100.64.0.0/10"), reachLocal}, // carrier NAT
	{netip.MustParsePrefix("127.0.0.0/8"), reachLoopback},
	{netip.MustParsePrefix("169.254.0.0/16"), reachLocal}, // link-local, cloud metadata
	{netip.MustParsePrefix("172.16.0.0/12"), reachLocal},
	{netip.MustParsePrefix("192.0.0.0/24"), reachLocal},
	{netip.MustParsePrefix("192.0.2.0/24"), reachLocal},
	{netip.MustParsePrefix("192.31.196.0/24"), reachLocal}, // AS112
	{netip.MustParsePrefix("192.52.193.0/24"), reachLocal}, // AMT
	{netip.MustParsePrefix("192.88.99.0/24"), reachLocal},  // 6to4 relays
	{netip.MustParsePrefix("192.168.0.0/16"), reachLocal},
	{netip.MustParsePrefix("192.175.48.0/24"), reachLocal}, // AS112
	{netip.MustParsePrefix("198.18.0.0/15"), reachLocal},   // benchmarks
	{netip.MustParsePrefix("198.51.100.0/24"), reachLocal},
	{netip.MustParsePrefix("203.0.113.0/24"), reachLocal},
	{netip.MustParsePrefix("224.0.0.0/4"), reachNever}, // multicast
	{netip.MustParsePrefix("240.0.0.0/4"), reachNever}, // reserved, broadcast

	{netip.MustParsePrefix("::/128"), reachNever},
	{netip.MustParsePrefix("::1/128"), reachLoopback},
	{netip.MustParsePrefix("::/96"), reachNever}, // IPv4-compatible, deprecated
	// Where a network translator keeps the IPv4 address in here is its own affair,
	// so these cannot be judged by it.
	{netip.MustParsePrefix("64:ff9b:1::/48"), reachLocal},
	{netip.MustParsePrefix("100::/64"), reachLocal},       // discard
	{netip.MustParsePrefix("100:0:0:1::/64"), reachLocal}, // dummy
	{netip.MustParsePrefix("2001::/23"), reachLocal},      // IETF protocols
	{netip.MustParsePrefix("2001:db8::/32"), reachLocal},
	{netip.MustParsePrefix("2620:4f:8000::/48"), reachLocal}, // AS112
	{netip.MustParsePrefix("3fff::/20"), reachLocal},         // documentation
	{netip.MustParsePrefix("5f00::/16"), reachLocal},         // SRv6
	{netip.MustParsePrefix("fc00::/7"), reachLocal},
	{netip.MustParsePrefix("fe80::/10"), reachLocal},
	{netip.MustParsePrefix("fec0::/10"), reachLocal}, // site-local, deprecated
	{netip.MustParsePrefix("ff00::/8"), reachNever},
}

// reachOf classifies an address; one that carries an IPv4 address is what that
// one is.
func reachOf(addr netip.Addr) reach {
	if !addr.IsValid() {
		return reachNever
	}
	zoned := addr.Zone() != ""
	addr = addr.Unmap().WithZone("")
	if inner, ok := embeddedIPv4(addr); ok {
		addr = inner
	}
	for _, special := range specialRanges {
		if special.prefix.Contains(addr) {
			return special.reach
		}
	}
	if zoned { // a zone names an interface of this machine
		return reachLocal
	}
	return reachPublic
}

// embeddedIPv4 returns the IPv4 address that a translated or tunnelled IPv6
// address leads to: NAT64 (RFC 6052), 6to4 (RFC 3056), Teredo (RFC 4380).
func embeddedIPv4(addr netip.Addr) (netip.Addr, bool) {
	if !addr.Is6() {
		return netip.Addr{}, false
	}
	b := addr.As16()
	switch {
	case [12]byte(b[:12]) == [12]byte{0x00, 0x64, 0xff, 0x9b}:
		return netip.AddrFrom4([4]byte(b[12:16])), true
	case b[0] == 0x20 && b[1] == 0x02:
		return netip.AddrFrom4([4]byte(b[2:6])), true
	case b[0] == 0x20 && b[1] == 0x01 && b[2] == 0 && b[3] == 0:
		return netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]}), true
	}
	return netip.Addr{}, false
}
