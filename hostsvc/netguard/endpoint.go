package netguard

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// Endpoint is a host and port that no plugin may reach, whatever its permissions.
type Endpoint struct {
	// Name says who is there, for the reason of a refusal: "Navidrome".
	Name string
	// Host is a name or an IP address, without brackets.
	Host string
	// Port is the TCP port, never 0.
	Port uint16
}

// EndpointOf returns the endpoint that a URL leads to. It fails when the URL has no
// usable host, or a scheme other than http, https, ws and wss.
func EndpointOf(name string, u *url.URL) (Endpoint, error) {
	origin := url.URL{Scheme: strings.ToLower(u.Scheme), Host: u.Host}
	t, err := parseTarget(origin.String())
	if err != nil {
		return Endpoint{}, fmt.Errorf("address of %s: %w", name, err)
	}
	return Endpoint{Name: name, Host: t.host.text, Port: t.port}, nil
}

// deniedEndpoint is an Endpoint with what its name resolved to last.
type deniedEndpoint struct {
	Endpoint
	host hostName

	mu   sync.Mutex
	last []netip.Addr
}

func newDeniedEndpoint(e Endpoint) (*deniedEndpoint, error) {
	host, err := parseHost(e.Host, strings.Contains(e.Host, ":"))
	if err == nil && e.Port == 0 {
		err = errors.New("the port is missing")
	}
	if err != nil {
		return nil, fmt.Errorf("denied endpoint %q: %w", e.Name, err)
	}
	return &deniedEndpoint{Endpoint: e, host: host}, nil
}

// isAt reports whether the endpoint can be reached at an address: one that its
// name resolves to at this moment, or, when it is on this machine, any address of
// this machine.
func (d *deniedEndpoint) isAt(ctx context.Context, resolver Resolver, at netip.AddrPort) (bool, error) {
	if at.Port() != d.Port {
		return false, nil
	}
	addrs, err := d.addresses(ctx, resolver)
	if err != nil {
		return false, err
	}
	isSame := func(addr netip.Addr) bool { return plain(addr) == plain(at.Addr()) }
	here := thisMachine()
	return slices.ContainsFunc(addrs, isSame) || here.has(ctx, at.Addr()) && slices.ContainsFunc(addrs, func(addr netip.Addr) bool { return here.has(ctx, addr) }), nil
}

// addresses resolves the endpoint. While the resolver fails it returns the last
// answer; without one it fails, because the address in question could be the
// endpoint's. A name that surely does not exist has no addresses to protect.
func (d *deniedEndpoint) addresses(ctx context.Context, resolver Resolver) ([]netip.Addr, error) {
	found, err := lookup(ctx, resolver, d.host)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err == nil {
		d.last = found
		return found, nil
	}
	var missing *net.DNSError
	if len(d.last) > 0 || errors.As(err, &missing) && missing.IsNotFound {
		return d.last, nil
	}
	return nil, fmt.Errorf("resolve %s to keep plugins off its addresses: %w", d.Host, err)
}

// plain strips what makes one address look like two.
func plain(addr netip.Addr) netip.Addr {
	addr = addr.Unmap().WithZone("")
	if inner, ok := embeddedIPv4(addr); ok {
		return inner
	}
	return addr
}
