package replica

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"time"

	"github.com/pluginhost/pluginhost/config"
	"github.com/pluginhost/pluginhost/gateway"
	"github.com/pluginhost/pluginhost/internal/door"
	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/sdk/tokenstore"
	"github.com/pluginhost/pluginhost/subjects"
)

const (
	// bodyShare is the part of [Runtime] HostMemory that bodies of the gateway may take: one in so many.
	bodyShare = 8
	// headerRoom is how much of the server's max_payload is left for the headers of a call, in bytes.
	headerRoom = 4 << 10
)

// newGateway has the gateway answer on the HTTP server; nil is that it is off. The caller stops it.
func (r *Replica) newGateway(settings *config.Config) (*gateway.Gateway, error) {
	if settings.HTTP.Listen == "" {
		return nil, nil
	}
	proxies, err := door.ParseProxies(settings.HTTP.TrustedProxies)
	if err != nil {
		return nil, fmt.Errorf("[HTTP] TrustedProxies: %w", err)
	}
	g, err := gateway.New(gateway.Config{
		Tokens:         newGatewayTokens(r.tokens, settings.HTTP.Token),
		Plugins:        r.doors.plugins,
		Agents:         r.doors.agents,
		Listed:         r.doors.followed,
		Plays:          gatewayPlays{r.doors},
		Hosts:          settings.HTTP.Hosts,
		TrustedProxies: proxies,
		MaxBody:        int(r.bus.DoorsConn().MaxPayload()) - headerRoom,
		MaxBodies:      int(settings.Runtime.HostMemory / bodyShare),
		Hold:           r.holdForDoors,
		MaxTimeout:     settings.Runtime.LongestTimeout(),
		Logger:         r.log,
	})
	if err != nil {
		return nil, err
	}
	r.http.open(g)
	return g, nil
}

// leaveGateway has clients of the gateway go to another replica with their next request.
func (r *Replica) leaveGateway() {
	if r.gateway != nil {
		r.gateway.Leave()
	}
}

// stopGateway ends it, before the bus: until then it is answered by other replicas.
func (r *Replica) stopGateway(ctx context.Context) error {
	if r.gateway != nil {
		r.gateway.Stop(ctx)
	}
	return nil
}

// holdForDoors charges HostMemory for what doors keep.
func (r *Replica) holdForDoors(bytes int64) (release func(), err error) {
	release, err = r.runtime.Hold("", bytes)
	if err != nil {
		return nil, noMemory(err)
	}
	return release, nil
}

// gatewayTokens finds tokens in the store of the cluster, and that of the configuration.
type gatewayTokens struct {
	store *tokenstore.Followed
	own   *[sha256.Size]byte // nil is none
}

func newGatewayTokens(store *tokenstore.Followed, own string) gatewayTokens {
	t := gatewayTokens{store: store}
	if own != "" {
		sum := sha256.Sum256([]byte(own))
		t.own = &sum
	}
	return t
}

// Find implements gateway.Tokens.
func (t gatewayTokens) Find(ctx context.Context, secret string) (subjects.AccessTokenGrant, error) {
	if t.own != nil {
		if sum := sha256.Sum256([]byte(secret)); subtle.ConstantTimeCompare(sum[:], t.own[:]) == 1 {
			return subjects.AccessTokenGrant{Scopes: subjects.AccessScopes()}, nil
		}
	}
	token, err := t.store.Find(ctx, secret)
	if errors.Is(err, tokenstore.ErrUnknown) {
		return subjects.AccessTokenGrant{}, gateway.ErrUnknownToken
	}
	return token.AccessTokenGrant, err
}

// gatewayPlays takes plays for the gateway.
type gatewayPlays struct{ doors *doors }

// Submit implements gateway.Plays.
func (p gatewayPlays) Submit(ctx context.Context, plugin string, user client.User, track *api.TrackInfo, at time.Time) error {
	return p.doors.submit(ctx, plugin, user, track, at)
}

// NowPlaying implements gateway.Plays.
func (p gatewayPlays) NowPlaying(plugin string, user client.User, track *api.TrackInfo, at time.Time) {
	p.doors.nowPlaying(plugin, user, track, at)
}
