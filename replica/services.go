package replica

import (
	"errors"
	"fmt"
	"io"
	"net/url"

	"github.com/pluginhost/pluginhost/api/host"
	"github.com/pluginhost/pluginhost/api/schema"
	"github.com/pluginhost/pluginhost/bus/kvcache"
	"github.com/pluginhost/pluginhost/call"
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
	g := granting{replica: r, config: config, entry: entry, init: new(initialised)}
	of, err := granted.Grant(entry.Manifest.Permissions.Granted(), map[string]granted.Offer{
		"http":        g.http,
		"config":      g.settings,
		"cache":       g.cache,
		"artwork":     g.artwork,
		"subsonicapi": g.subsonicAPI,
		"scheduler":   g.scheduler,
		"websocket":   g.webSocket,
	})
	return services{of, g.sockets, g.init}, err
}

// granting makes the services of one generation.
type granting struct {
	replica *Replica
	config  *config.Config
	entry   plugin.Entry
	sockets *pluginSockets // nil until the plugin has WebSockets
	init    *initialised
}

func (g *granting) http() ([]host.Function, io.Closer, error) {
	permission := g.entry.Manifest.Permissions.HTTP
	navidrome, err := navidromeURL(g.config)
	if err != nil {
		return nil, nil, err
	}
	service, err := hosthttp.New(hosthttp.Config{
		PluginID:          g.entry.ID,
		AllowedURLs:       permission.AllowedURLs,
		AllowLocalNetwork: permission.AllowLocalNetwork,
		Navidrome:         navidrome,
		Own:               g.replica.endpoints,
		UserHeader:        g.config.Navidrome.UserHeader,
		MaxTimeout:        g.config.Runtime.For(g.entry.ID).MaxTimeout,
		Logger:            g.replica.log,
	})
	if err != nil {
		return nil, nil, err
	}
	return service.Functions(), service, nil
}

func (g *granting) settings() ([]host.Function, io.Closer, error) {
	return hostconfig.Functions(hostconfig.New(g.config.PluginConfigFor(g.entry.ID))), nil, nil
}

func (g *granting) cache() ([]host.Function, io.Closer, error) {
	limits := g.config.Cache
	return hostcache.New(hostcache.Config{
		PluginID: g.entry.ID,
		Store:    g.replica.cache.Of(g.entry.ID, kvcache.Limits{MaxEntries: limits.MaxEntries, MaxBytes: limits.MaxBytes}),
		MaxValue: limits.MaxValue,
		Logger:   g.replica.log,
	}).Functions(), nil, nil
}

func (g *granting) scheduler() ([]host.Function, io.Closer, error) {
	settings := g.config.Scheduler
	service, err := scheduler.New(scheduler.Config{
		PluginID:   g.entry.ID,
		Store:      busSchedules{schedules: g.replica.planner.schedules, id: g.entry.ID, limit: settings.MaxSchedules, init: g.init},
		Zone:       settings.TimeZone,
		MaxPayload: settings.MaxPayload,
		Logger:     g.replica.log,
	})
	if err != nil {
		return nil, nil, err
	}
	return service.Functions(), nil, nil
}

func (g *granting) webSocket() ([]host.Function, io.Closer, error) {
	permission := g.entry.Manifest.Permissions.WebSocket
	navidrome, err := navidromeURL(g.config)
	if err != nil {
		return nil, nil, err
	}
	g.sockets = &pluginSockets{sockets: g.replica.sockets, hosted: g.replica.hosted(g.entry.ID), init: g.init}
	service, err := websocket.New(websocket.Config{
		PluginID:          g.entry.ID,
		AllowedURLs:       permission.AllowedURLs,
		AllowLocalNetwork: permission.AllowLocalNetwork,
		Navidrome:         navidrome,
		Own:               g.replica.endpoints,
		UserHeader:        g.config.Navidrome.UserHeader,
		MaxMessage:        min(g.config.WebSocket.MaxMessage, int64(g.replica.bus.MaxResponse())),
		PingInterval:      g.config.WebSocket.Ping,
		Hold: func(bytes int64) (func(), error) {
			return g.replica.runtime.Hold(g.entry.ID, bytes)
		},
		Sockets: g.sockets,
		Logger:  g.replica.log,
	})
	if err != nil {
		return nil, nil, err
	}
	return service.Functions(), nil, nil
}

func (g *granting) artwork() ([]host.Function, io.Closer, error) {
	if g.replica.artwork == nil {
		return artwork.New(newBusArtwork(g.replica.bus, g.entry.ID, g.replica.log)).Functions(), nil, nil
	}
	var share *url.URL
	if g.config.Navidrome.ShareURL != "" {
		var err error
		if share, err = url.Parse(g.config.Navidrome.ShareURL); err != nil {
			return nil, nil, err
		}
	}
	return artwork.New(artwork.NewLinks(g.replica.artwork.signer, share)).Functions(), nil, nil
}

func (g *granting) subsonicAPI() ([]host.Function, io.Closer, error) {
	permission := g.entry.Manifest.Permissions.SubsonicAPI
	calls := subsonicapi.Config{
		PluginID:         g.entry.ID,
		AllowedUsernames: permission.AllowedUsernames,
		AllowAdmins:      permission.AllowAdmins,
		Via:              call.Via,
		MaxCalls:         g.config.Runtime.For(g.entry.ID).MaxConcurrent - 1,
		Logger:           g.replica.log,
	}
	urlKey := config.Key("Navidrome", "URL")
	if g.config.Navidrome.Subsonic == config.SubsonicBus {
		calls.Navidrome = hinting{busSubsonic{g.replica.bus}, "no Navidrome answers over NATS: start it, or see to " + config.Key("Navidrome", "Subsonic")}
		return subsonicapi.Functions(subsonicapi.New(calls)), nil, nil
	}
	server, err := openNavidrome(g.config)
	switch {
	case err != nil:
		return nil, nil, err
	case server == nil:
		return unconfigured(subsonicapi.Functions(subsonicapi.New(calls)), "set "+urlKey), nil, nil
	}
	calls.Navidrome = hinting{server, "Navidrome does not answer: start it, or check " + urlKey}
	return subsonicapi.Functions(subsonicapi.New(calls)), closing(server.Close), nil
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
