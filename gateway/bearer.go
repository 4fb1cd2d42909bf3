package gateway

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/pluginhost/pluginhost/internal/door"
	"github.com/pluginhost/pluginhost/subjects"
)

// ErrUnknownToken is that there is no such token, or that it is expired or revoked.
var ErrUnknownToken = errors.New("unknown token")

// bearer returns what the token of a request is good for.
func (g *Gateway) bearer(r *http.Request) (subjects.AccessTokenGrant, error) {
	secret := token(r.Header)
	if secret == "" {
		return subjects.AccessTokenGrant{}, unauthorized("no token: send the header Authorization once, as Bearer, a space and the token, which pluginhost token create makes")
	}
	ctx, cancel := context.WithTimeout(r.Context(), g.times.lookup)
	defer cancel()
	grant, err := g.Tokens.Find(ctx, secret)
	switch {
	case err == nil:
		return grant, nil
	case !errors.Is(err, ErrUnknownToken):
		g.lookups.Do(func() { g.Logger.Warn("tokens cannot be looked up", "error", err) })
		return subjects.AccessTokenGrant{}, subjects.Errorf(subjects.ErrUnavailable, "the token cannot be looked up now: try again later")
	}
	from := door.Client(r, g.TrustedProxies)
	g.unknown.Do(func() { g.Logger.Warn("a token is not known", "address", from) })
	if !g.strangers.Allow(from, time.Now()) {
		return subjects.AccessTokenGrant{}, subjects.Errorf(subjects.ErrOverloaded, "too many tokens that are not known came from this address: try again later")
	}
	return subjects.AccessTokenGrant{}, unauthorized("the token is not known: it was revoked, has expired, or is mistyped")
}

func unauthorized(text string) error {
	return refusef(http.StatusUnauthorized, subjects.NameUnauthorized, "%s", text)
}

// token returns the token of a request; empty is that there is none, or more than one.
func token(header http.Header) string {
	values := header.Values("Authorization")
	if len(values) != 1 {
		return ""
	}
	scheme, secret, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(secret)
}

// checkHost refuses names that the gateway does not go by.
func (g *Gateway) checkHost(host string) error {
	name := host
	if without, _, err := net.SplitHostPort(host); err == nil {
		name = without
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if _, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil || name != "" && !strings.Contains(name, ".") {
		return nil
	}
	for _, known := range g.Hosts {
		known = strings.ToLower(known)
		if below, is := strings.CutPrefix(known, "*."); is && strings.HasSuffix(name, "."+below) || name == known {
			return nil
		}
	}
	return refusef(http.StatusMisdirectedRequest, subjects.NameMisdirected, "the gateway does not go by the name %.80q: add it to [HTTP] Hosts", name)
}
