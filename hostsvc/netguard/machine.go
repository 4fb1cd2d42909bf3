package netguard

import (
	"context"
	"net"
	"net/netip"
	"slices"
)

// machine knows the addresses of this machine at one moment.
type machine struct {
	// interfaces are the addresses of its interfaces; nil where the system does not
	// tell, as it does not without netlink sockets.
	interfaces []netip.Addr
}

func thisMachine() machine {
	found, err := net.InterfaceAddrs()
	if err != nil {
		return machine{}
	}
	m := machine{interfaces: make([]netip.Addr, 0, len(found))}
	for _, addr := range found {
		if prefix, err := netip.ParsePrefix(addr.String()); err == nil {
			m.interfaces = append(m.interfaces, plain(prefix.Addr()))
		}
	}
	return m
}

// has reports whether what is sent to an address arrives on this machine. Beside the
// addresses of its interfaces those can be routed to itself that no interface has, as
// the machines of a load balancer do.
func (m machine) has(ctx context.Context, addr netip.Addr) bool {
	inner := plain(addr)
	return inner.IsLoopback() || inner.IsUnspecified() || slices.Contains(m.interfaces, inner) ||
		isOwnSource(ctx, addr) || m.interfaces == nil && canBind(ctx, addr)
}

// isOwnSource reports whether this machine would send from an address to that very
// address. Nothing is sent.
func isOwnSource(ctx context.Context, addr netip.Addr) bool {
	conn, err := new(net.Dialer).DialContext(ctx, "udp", netip.AddrPortFrom(addr, 9).String())
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }()
	source, err := netip.ParseAddrPort(conn.LocalAddr().String())
	return err == nil && plain(source.Addr()) == plain(addr)
}

// canBind reports whether a socket can have an address. With net.ipv4.ip_nonlocal_bind
// it can have any, so that this is the last thing to ask.
func canBind(ctx context.Context, addr netip.Addr) bool {
	conn, err := new(net.ListenConfig).ListenPacket(ctx, "udp", netip.AddrPortFrom(addr, 0).String())
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}
