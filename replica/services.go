package replica

import (
	"errors"
	"fmt"
	"io"
	"net/url"

	"github.com/pluginhost/pluginhost/bus/kvcache"
	"github.com/pluginhost/pluginhost/config"
	"github.com/pluginhost/pluginhost/hostsvc/artwork"
	hostcache "github.com/pluginhost/pluginhost/hostsvc/cache"
	hostconfig "github.com/pluginhost/pluginhost/hostsvc/config"
	hosthttp "github.com/pluginhost/pluginhost/hostsvc/http"
	"github.com/pluginhost/pluginhost/hostsvc/scheduler"
	"github.com/pluginhost/pluginhost/hostsvc/subsonicapi"
	"github.com/pluginhost/pluginhost/hostsvc/websocket"
	"github.com/pluginhost/pluginhost/internal/granted"
	"github.com/pluginhost/pluginhost/internal/inspect"
	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/sdk/api/host"
	apiconfig "github.com/pluginhost/pluginhost/sdk/api/host/config"
	"github.com/pluginhost/pluginhost/sdk/api/schema"
	"github.com/pluginhost/pluginhost/sdk/call"
	"github.com/pluginhost/pluginhost/wasmrt"
)

// services are the host services of one generation of a plugin: those that its
// manifest was granted. Whoever has them closes them.
type services struct {
	granted.Services
	sockets *pluginSockets // nil without WebSockets
	init    *initialised
}

// grant makes the services that a manifest asks for.
func (r *Replica) grant(config *config.Config, entry plugin.Entry) (services, error) {
	g := &granting{replica: r, config: config, id: entry.ID, init: new(initialised)}
	of, err := granted.Grant(granted.Plugin{ID: entry.ID, Permissions: entry.Manifest.Permissions, Logger: r.log}, g)
	return services{of, g.sockets, g.init}, err
}

// granting is what the services of one generation are made with.
type granting struct {
	replica *Replica
	config  *config.Config
	id      string         // of the plugin
	sockets *pluginSockets // nil until the plugin has WebSockets
	init    *initialised
}

var _ granted.Host = (*granting)(nil)

// HTTP implements granted.Host.
func (g *granting) HTTP(c *hosthttp.Config) (err error) {
	c.Own = g.replica.endpoints
	c.Failing = noteFailing
	c.UserHeader = g.config.Navidrome.UserHeader
	c.MaxTimeout = g.config.Runtime.For(g.id).MaxTimeout
	c.Navidrome, err = navidromeURL(g.config)
	return err
}

// Config implements granted.Host.
func (g *granting) Config() apiconfig.ConfigService {
	return hostconfig.New(g.config.PluginConfigFor(g.id))
}

// Cache implements granted.Host.
func (g *granting) Cache(c *hostcache.Config) error {
	limits := g.config.Cache
	c.Store = g.replica.cache.Of(g.id, kvcache.Limits{MaxEntries: limits.MaxEntries, MaxBytes: limits.MaxBytes})
	c.MaxValue = limits.MaxValue
	return nil
}

// Scheduler implements granted.Host.
func (g *granting) Scheduler(c *scheduler.Config) error {
	settings := g.config.Scheduler
	c.Store = busSchedules{schedules: g.replica.schedules, id: g.id, limit: settings.MaxSchedules, init: g.init}
	c.Zone = settings.TimeZone
	c.MaxPayload = settings.MaxPayload
	return nil
}

// WebSocket implements granted.Host.
func (g *granting) WebSocket(c *websocket.Config) (err error) {
	if c.Navidrome, err = navidromeURL(g.config); err != nil {
		return err
	}
	g.sockets = &pluginSockets{sockets: g.replica.sockets, hosted: g.replica.hosted(g.id), init: g.init}
	c.Own = g.replica.endpoints
	c.UserHeader = g.config.Navidrome.UserHeader
	c.MaxMessage = min(g.config.WebSocket.MaxMessage, int64(g.replica.bus.MaxResponse()))
	c.PingInterval = g.config.WebSocket.Ping
	c.Hold = func(bytes int64) (func(), error) { return g.replica.runtime.Hold(g.id, bytes) }
	c.Sockets = g.sockets
	return nil
}

// Artwork implements granted.Host.
func (g *granting) Artwork() (artwork.Addresses, error) {
	if g.replica.artwork == nil {
		return newBusArtwork(g.replica.bus, g.id, g.replica.log), nil
	}
	var share *url.URL
	if g.config.Navidrome.ShareURL != "" {
		var err error
		if share, err = url.Parse(g.config.Navidrome.ShareURL); err != nil {
			return nil, err
		}
	}
	return artwork.NewLinks(g.replica.artwork.signer, share), nil
}

// SubsonicAPI implements granted.Host.
func (g *granting) SubsonicAPI(c subsonicapi.Config) ([]host.Function, io.Closer, error) {
	c.Via = call.Via
	c.MaxCalls = g.config.Runtime.For(g.id).MaxConcurrent - 1
	urlKey := config.Key("Navidrome", "URL")
	if g.config.Navidrome.Subsonic == config.SubsonicBus {
		c.Navidrome = hinting{busSubsonic{g.replica.bus}, "no Navidrome answers over NATS: start it, or see to " + config.Key("Navidrome", "Subsonic")}
		return subsonicapi.Functions(subsonicapi.New(c)), nil, nil
	}
	server, err := openNavidrome(g.config)
	switch {
	case err != nil:
		return nil, nil, err
	case server == nil:
		return unconfigured(subsonicapi.Functions(subsonicapi.New(c)), "set "+urlKey), nil, nil
	}
	c.Navidrome = hinting{server, "Navidrome does not answer: start it, or check " + urlKey}
	return subsonicapi.Functions(subsonicapi.New(c)), closing(server.Close), nil
}

// closing is an io.Closer that cannot fail.
type closing func()

// Close implements io.Closer.
func (c closing) Close() error {
	c()
	return nil
}

// explain says what to do about an import that the guest is not offered.
func explain(contract *schema.Contract, err error) error {
	var missing *wasmrt.MissingImportError
	if !errors.As(err, &missing) || !missing.Service {
		return err
	}
	return fmt.Errorf("%w: %s", err, inspect.Ungranted(contract, missing.Name))
}
