package netguard

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"
)

const (
	// maxDialAddresses is how many addresses of one name are tried.
	maxDialAddresses = 8
	// dialTimeout bounds one DialContext, name lookup included: net/http dials
	// without the deadline of the request that asked for the connection.
	dialTimeout = 30 * time.Second
	// dialStagger is the head start of each address over the next one (RFC 8305).
	dialStagger = 250 * time.Millisecond
)

// DialContext connects to an address "host:port" over TCP. It fits into
// http.Transport.DialContext and websocket.Dialer.NetDialContext; the caller closes
// the connection. The addresses of a name are tried one after the other, each with a
// short head start, IPv6 and IPv4 in turns; every one must pass Control.
//
// A refusal is a *BlockedError, found with errors.As; after 30 seconds the error is
// context.DeadlineExceeded. Proxies from the environment are not used.
func (g *Guard) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	hostText, portText, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	host, err := parseHost(hostText, strings.Contains(hostText, ":"))
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	port, err := parsePort(portText, 0)
	if err != nil || port == 0 {
		return nil, fmt.Errorf("dial: bad port %q", portText)
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	addrs, err := lookup(ctx, g.resolver, host)
	if err != nil {
		if expired := ctx.Err(); expired != nil {
			err = expired // net reports a deadline in words of its own
		}
		return nil, fmt.Errorf("dial %s: %w", host.text, err)
	}
	return g.race(ctx, network, inTurns(addrs), port)
}

// lookup returns at least one address, or an error. The localhost names are this
// machine without asking anybody (RFC 6761).
func lookup(ctx context.Context, resolver Resolver, host hostName) ([]netip.Addr, error) {
	switch {
	case host.addr.IsValid():
		return []netip.Addr{host.addr}, nil
	case isLocalhost(host.text):
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}, nil
	}
	found, err := resolver.LookupNetIP(ctx, "ip", host.text)
	if err != nil {
		return nil, fmt.Errorf("resolve: %w", err)
	}
	if len(found) == 0 {
		return nil, &net.DNSError{Err: "no addresses", Name: host.text, IsNotFound: true}
	}
	addrs := make([]netip.Addr, len(found))
	for i, addr := range found {
		addrs[i] = addr.Unmap()
	}
	return addrs, nil
}

// inTurns orders addresses so that the families alternate, beginning with the
// resolver's first, and cuts the list.
func inTurns(addrs []netip.Addr) []netip.Addr {
	var first, second []netip.Addr
	for _, addr := range addrs {
		if addr.Is4() == addrs[0].Is4() {
			first = append(first, addr)
		} else {
			second = append(second, addr)
		}
	}
	ordered := make([]netip.Addr, 0, len(addrs))
	for i := range addrs {
		if i < len(first) {
			ordered = append(ordered, first[i])
		}
		if i < len(second) {
			ordered = append(ordered, second[i])
		}
	}
	return ordered[:min(len(ordered), maxDialAddresses)]
}

type dialled struct {
	conn net.Conn
	err  error
}

// race returns the first connection that stands, or the error of the first address
// that failed.
func (g *Guard) race(ctx context.Context, network string, addrs []netip.Addr, port uint16) (net.Conn, error) {
	// No deadline below: the dialer would report it as "i/o timeout".
	attempts, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	results := make(chan dialled)
	dialer := net.Dialer{ControlContext: g.Control}
	dial := func(addr netip.Addr) {
		conn, err := dialer.DialContext(attempts, network, netip.AddrPortFrom(addr, port).String())
		select {
		case results <- dialled{conn, err}:
		case <-attempts.Done(): // another address won, or the caller has gone
			if conn != nil {
				_ = conn.Close()
			}
		}
	}
	stagger := time.NewTimer(0)
	defer stagger.Stop()
	var firstErr error
	for started, failed := 0, 0; failed < len(addrs); {
		var next <-chan time.Time
		if started < len(addrs) {
			next = stagger.C
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("dial: %w", ctx.Err())
		case <-next:
			go dial(addrs[started])
			started++
			stagger.Reset(dialStagger)
		case result := <-results:
			if result.err == nil {
				return result.conn, nil
			}
			if firstErr == nil {
				firstErr = result.err
			}
			failed++
			stagger.Reset(0)
		}
	}
	return nil, firstErr
}
