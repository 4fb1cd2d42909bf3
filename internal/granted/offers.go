package granted

import (
	"io"
	"log/slog"

	"github.com/pluginhost/pluginhost/hostsvc/artwork"
	"github.com/pluginhost/pluginhost/hostsvc/cache"
	"github.com/pluginhost/pluginhost/hostsvc/config"
	"github.com/pluginhost/pluginhost/hostsvc/http"
	"github.com/pluginhost/pluginhost/hostsvc/scheduler"
	"github.com/pluginhost/pluginhost/hostsvc/subsonicapi"
	"github.com/pluginhost/pluginhost/hostsvc/websocket"
	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/sdk/api/host"
	apiconfig "github.com/pluginhost/pluginhost/sdk/api/host/config"
)

// Plugin is who gets services.
type Plugin struct {
	// ID is the id of the plugin.
	ID string
	// Permissions are those of its manifest.
	Permissions plugin.Permissions
	// Logger gets what services tell of it.
	Logger *slog.Logger
}

// Host is what runs the plugin. Each method is asked when the permission of that name is granted,
// and adds to the configuration of the service what the host makes it with; what the plugin
// and its manifest say is there already.
type Host interface {
	// HTTP completes the service http.
	HTTP(c *http.Config) error
	// Config returns the service config.
	Config() apiconfig.ConfigService
	// Scheduler completes the service scheduler.
	Scheduler(c *scheduler.Config) error
	// WebSocket completes the service websocket.
	WebSocket(c *websocket.Config) error
	// Cache completes the service cache.
	Cache(c *cache.Config) error
	// Artwork returns the addresses of images.
	Artwork() (artwork.Addresses, error)
	// SubsonicAPI makes the service subsonicapi. What closes its way to Navidrome is nil if there
	// is nothing to close.
	SubsonicAPI(c subsonicapi.Config) ([]host.Function, io.Closer, error)
}

// offer is a host service: the permission that grants it, and how it is made. The closer is nil if
// there is nothing to close.
type offer struct {
	permission string
	open       func(Plugin, Host) (functions []host.Function, closer io.Closer, err error)
}

// offers are all host services.
func offers() []offer {
	return []offer{
		{"http", openHTTP},
		{"config", openConfig},
		{"scheduler", openScheduler},
		{"websocket", openWebSocket},
		{"cache", openCache},
		{"artwork", openArtwork},
		{"subsonicapi", openSubsonicAPI},
	}
}

func openHTTP(p Plugin, h Host) ([]host.Function, io.Closer, error) {
	permission := p.Permissions.HTTP
	c := http.Config{PluginID: p.ID, AllowedURLs: permission.AllowedURLs, AllowLocalNetwork: permission.AllowLocalNetwork, Logger: p.Logger}
	if err := h.HTTP(&c); err != nil {
		return nil, nil, err
	}
	service, err := http.New(c)
	if err != nil {
		return nil, nil, err
	}
	return service.Functions(), service, nil
}

func openConfig(_ Plugin, h Host) ([]host.Function, io.Closer, error) {
	return config.Functions(h.Config()), nil, nil
}

func openScheduler(p Plugin, h Host) ([]host.Function, io.Closer, error) {
	c := scheduler.Config{PluginID: p.ID, Logger: p.Logger}
	if err := h.Scheduler(&c); err != nil {
		return nil, nil, err
	}
	service, err := scheduler.New(c)
	if err != nil {
		return nil, nil, err
	}
	return service.Functions(), nil, nil
}

func openWebSocket(p Plugin, h Host) ([]host.Function, io.Closer, error) {
	permission := p.Permissions.WebSocket
	c := websocket.Config{PluginID: p.ID, AllowedURLs: permission.AllowedURLs, AllowLocalNetwork: permission.AllowLocalNetwork, Logger: p.Logger}
	if err := h.WebSocket(&c); err != nil {
		return nil, nil, err
	}
	service, err := websocket.New(c)
	if err != nil {
		return nil, nil, err
	}
	return service.Functions(), nil, nil
}

func openCache(p Plugin, h Host) ([]host.Function, io.Closer, error) {
	c := cache.Config{PluginID: p.ID, Logger: p.Logger}
	if err := h.Cache(&c); err != nil {
		return nil, nil, err
	}
	return cache.New(c).Functions(), nil, nil
}

func openArtwork(_ Plugin, h Host) ([]host.Function, io.Closer, error) {
	addresses, err := h.Artwork()
	if err != nil {
		return nil, nil, err
	}
	return artwork.New(addresses).Functions(), nil, nil
}

func openSubsonicAPI(p Plugin, h Host) ([]host.Function, io.Closer, error) {
	permission := p.Permissions.SubsonicAPI
	return h.SubsonicAPI(subsonicapi.Config{
		PluginID: p.ID, AllowedUsernames: permission.AllowedUsernames, AllowAdmins: permission.AllowAdmins, Logger: p.Logger,
	})
}
