package netguard

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
)

// Resolver looks up the addresses of a host name; *net.Resolver is one. A name
// that does not exist is a *net.DNSError with IsNotFound.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// GuardConfig is the configuration of a Guard.
type GuardConfig struct {
	// AllowLocalNetwork allows addresses that are not public. Unspecified
	// (0.0.0.0 and ::), multicast and reserved addresses stay refused.
	AllowLocalNetwork bool
	// Denied endpoints are refused always, by name and by address.
	Denied []Endpoint
	// Own returns further endpoints that are refused like those in Denied: what the
	// host listens on and connects to at this moment. It is called for every check, must
	// not block, and is safe for concurrent use. Defaults to none.
	Own func() []Endpoint
	// Resolver defaults to net.DefaultResolver.
	Resolver Resolver
}

// Guard dials for a plugin and refuses addresses that the plugin may not reach. It
// has nothing to close and is safe for concurrent use.
type Guard struct {
	allowLocal bool
	denied     []*deniedEndpoint
	own        *ownEndpoints
	resolver   Resolver
}

// NewGuard makes a Guard. It fails for a denied endpoint with a bad host or without
// a port.
func NewGuard(cfg GuardConfig) (*Guard, error) {
	g := &Guard{allowLocal: cfg.AllowLocalNetwork, own: newOwnEndpoints(cfg.Own), resolver: cfg.Resolver}
	if g.resolver == nil {
		g.resolver = net.DefaultResolver
	}
	for _, endpoint := range cfg.Denied {
		denied, err := newDeniedEndpoint(endpoint)
		if err != nil {
			return nil, err
		}
		g.denied = append(g.denied, denied)
	}
	return g, nil
}

// CheckURL refuses a URL by its text alone: a denied endpoint, localhost, or an IP
// address that may not be dialled. It looks nothing up. That makes for early and
// clear reasons; what counts is the check that DialContext makes.
//
// The error is a *BlockedError of kind ErrLocalNetwork, ErrDenied or ErrURL.
func (g *Guard) CheckURL(u *url.URL) error {
	host, err := parseHost(u.Hostname(), strings.HasPrefix(u.Host, "["))
	if err != nil {
		return &BlockedError{Kind: ErrURL, Reason: "invalid URL: " + err.Error()}
	}
	port, err := parsePort(u.Port(), defaultPort(u.Scheme))
	if err != nil {
		return &BlockedError{Kind: ErrURL, Reason: "invalid URL: " + err.Error()}
	}
	for _, denied := range g.allDenied() {
		if denied.Port == port && denied.host.text == host.text {
			return denied.blocked(netip.Addr{})
		}
	}
	switch {
	case host.addr.IsValid():
		return g.checkReach(host.addr, netip.Addr{})
	case isLocalhost(host.text) && !g.allowLocal:
		return blockedLocal(reachLoopback, netip.Addr{})
	}
	return nil
}

// Control is a check for net.Dialer.ControlContext. It looks at the address that
// the socket is about to connect to, so nothing can change in between. Its errors
// are those of CheckURL.
func (g *Guard) Control(ctx context.Context, network, address string, _ syscall.RawConn) error {
	if !strings.HasPrefix(network, "tcp") {
		return fmt.Errorf("dial %s: only tcp is allowed", network)
	}
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("dial %s: not an address and a port: %w", network, err)
	}
	if err := g.checkReach(at.Addr(), at.Addr()); err != nil {
		return err
	}
	for _, denied := range g.allDenied() {
		hit, err := denied.isAt(ctx, g.resolver, at)
		switch {
		case err != nil:
			reason := fmt.Sprintf("requests to port %d are not allowed while the address of %s is unknown", denied.Port, denied.Name)
			return &BlockedError{Kind: ErrDenied, Reason: reason, Addr: at.Addr(), Cause: err}
		case hit:
			return denied.blocked(at.Addr())
		}
	}
	return nil
}

// allDenied are the endpoints that are refused at this moment.
func (g *Guard) allDenied() []*deniedEndpoint { return slices.Concat(g.denied, g.own.now()) }

func (g *Guard) checkReach(addr, dialled netip.Addr) error {
	switch r := reachOf(addr); {
	case r == reachPublic, g.allowLocal && r != reachNever:
		return nil
	default:
		return blockedLocal(r, dialled)
	}
}

// blockedLocal gives the reasons that Navidrome gives, as plugins know them.
func blockedLocal(r reach, addr netip.Addr) error {
	var reason string
	switch r {
	case reachLoopback:
		reason = "requests to localhost are not allowed"
	case reachNever:
		reason = "requests to unspecified, multicast or reserved IP addresses are not allowed"
	case reachLocal, reachPublic:
		reason = "requests to private IP addresses are not allowed"
	}
	return &BlockedError{Kind: ErrLocalNetwork, Reason: reason, Addr: addr}
}

func (d *deniedEndpoint) blocked(addr netip.Addr) error {
	return &BlockedError{Kind: ErrDenied, Reason: fmt.Sprintf("requests to %s are not allowed", d.Name), Addr: addr}
}

func isLocalhost(host string) bool {
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}
