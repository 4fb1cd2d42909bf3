// Package egress is what the host services share that carry requests of a plugin out
// of the host: whether a request may leave, which headers go with it, and how a
// refusal is logged.
package egress

import (
	"errors"
	"log/slog"
	"net/url"

	"golang.org/x/time/rate"

	"github.com/pluginhost/pluginhost/hostsvc/netguard"
)

// Config is the configuration of a Gate.
type Config struct {
	// PluginID is the plugin that the gate is for; it is in every log line.
	PluginID string
	// Allowed are the URL patterns of a permission with the methods each allows, "*"
	// for every method; package netguard describes them. There is at least one.
	Allowed map[string][]string
	// AllowLocalNetwork allows addresses that are not on the public internet.
	AllowLocalNetwork bool
	// Navidrome is the address of Navidrome, where no request goes. Nil is none.
	Navidrome *url.URL
	// Own returns the endpoints of the host itself at this moment, where no request goes
	// either; netguard.GuardConfig says more. Nil is none.
	Own func() []netguard.Endpoint
	// UserHeader is the header by which Navidrome's reverse proxy says who is logged
	// in. Defaults to "Remote-User".
	UserHeader string
	// Logger gets the warnings. Defaults to slog.Default().
	Logger *slog.Logger
	// Resolver looks up host names. Defaults to net.DefaultResolver.
	Resolver netguard.Resolver
}

// Gate decides what the requests of one plugin may be. It has nothing to close and is
// safe for concurrent use.
type Gate struct {
	// Guard dials the addresses of what Check has passed.
	Guard *netguard.Guard

	config   Config
	patterns *netguard.Patterns
	warnings *rate.Limiter
	// failures are warned of apart: they may be many, and must not keep refusals out of the log.
	failures *rate.Limiter
}

// New makes a gate. It fails for URL patterns that cannot be used
// (netguard.ErrPattern) or are missing, and a Navidrome address without a host, and
// names all of these faults at once.
func New(config Config) (*Gate, error) {
	if config.UserHeader == "" {
		config.UserHeader = "Remote-User"
	}
	if config.Logger == nil {
		config.Logger = slog.Default()
	}
	var faults []error
	if len(config.Allowed) == 0 {
		faults = append(faults, errors.New("allowedUrls must contain at least one URL pattern"))
	}
	patterns, err := netguard.Parse(config.Allowed)
	faults = append(faults, err)
	guarded := netguard.GuardConfig{AllowLocalNetwork: config.AllowLocalNetwork, Own: config.Own, Resolver: config.Resolver}
	if config.Navidrome != nil {
		navidrome, err := netguard.EndpointOf("Navidrome", config.Navidrome)
		faults = append(faults, err)
		guarded.Denied = []netguard.Endpoint{navidrome}
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	guard, err := netguard.NewGuard(guarded)
	if err != nil {
		return nil, err
	}
	return &Gate{
		Guard:    guard,
		config:   config,
		patterns: patterns,
		warnings: rate.NewLimiter(warningsPerSecond, warningsAtOnce),
		failures: rate.NewLimiter(warningsPerSecond, warningsAtOnce),
	}, nil
}

// Check returns the URL to send in place of the one asked for. The error is a *netguard.BlockedError.
func (g *Gate) Check(rawURL, method string) (*url.URL, error) {
	return g.check(rawURL, method, g.patterns.Check)
}

// CheckRedirect is Check for where a redirect from a URL leads;
// netguard.Patterns.CheckRedirect says what differs.
func (g *Gate) CheckRedirect(from *url.URL, rawURL, method string) (*url.URL, error) {
	return g.check(rawURL, method, func(rawURL, method string) (*url.URL, error) {
		return g.patterns.CheckRedirect(from, rawURL, method)
	})
}

func (g *Gate) check(rawURL, method string, by func(rawURL, method string) (*url.URL, error)) (*url.URL, error) {
	target, err := by(rawURL, method)
	if err != nil {
		return nil, err
	}
	if err := g.Guard.CheckURL(target); err != nil {
		return nil, err
	}
	return target, nil
}
