package plugintest

import (
	"context"
	"io"

	"github.com/pluginhost/pluginhost/hostsvc/artwork"
	hostcache "github.com/pluginhost/pluginhost/hostsvc/cache"
	hostconfig "github.com/pluginhost/pluginhost/hostsvc/config"
	hosthttp "github.com/pluginhost/pluginhost/hostsvc/http"
	"github.com/pluginhost/pluginhost/hostsvc/scheduler"
	"github.com/pluginhost/pluginhost/hostsvc/subsonicapi"
	"github.com/pluginhost/pluginhost/hostsvc/websocket"
	"github.com/pluginhost/pluginhost/internal/granted"
	"github.com/pluginhost/pluginhost/sdk/api/host"
	apiconfig "github.com/pluginhost/pluginhost/sdk/api/host/config"
)

// grant makes the services that the manifest asks for.
func (h *Host) grant() (granted.Services, error) {
	return granted.Grant(granted.Plugin{ID: h.id, Permissions: h.manifest.Permissions, Logger: h.logger}, granting{h})
}

// granting is what the services of a Host are made with.
type granting struct{ host *Host }

var _ granted.Host = granting{}

// HTTP implements granted.Host.
func (g granting) HTTP(c *hosthttp.Config) error {
	c.MaxTimeout = maxCallTimeout
	c.Transport = g.host.web
	return nil
}

// Config implements granted.Host.
func (g granting) Config() apiconfig.ConfigService { return currentConfig(g) }

// Cache implements granted.Host.
func (g granting) Cache(c *hostcache.Config) error {
	c.Store = g.host.values
	c.MaxValue = maxValue
	return nil
}

// Artwork implements granted.Host.
func (g granting) Artwork() (artwork.Addresses, error) { return addresses(g), nil }

// SubsonicAPI implements granted.Host.
func (g granting) SubsonicAPI(c subsonicapi.Config) ([]host.Function, io.Closer, error) {
	c.MaxResponse = maxAnswer
	c.MaxCalls = maxConcurrent - 1
	g.host.subsonicConfig = c
	g.host.subsonic.Store(subsonicapi.New(c)) // without a Navidrome
	return subsonicapi.Functions(currentSubsonic(g)), nil, nil
}

// Scheduler implements granted.Host.
func (g granting) Scheduler(c *scheduler.Config) error {
	c.Store = g.host.schedules
	c.Zone = timeZone
	c.MaxPayload = maxPayload
	c.Now = g.host.clock.now
	return nil
}

// WebSocket implements granted.Host.
func (g granting) WebSocket(c *websocket.Config) error {
	c.MaxMessage = maxMessage
	c.PingInterval = pingInterval
	c.Sockets = g.host.sockets
	c.Dial = g.host.sockets.dial
	return nil
}

// currentConfig hands out the configuration of the moment.
type currentConfig struct{ host *Host }

// GetPluginConfig implements config.ConfigService.
func (c currentConfig) GetPluginConfig(ctx context.Context, request *apiconfig.GetPluginConfigRequest) (*apiconfig.GetPluginConfigResponse, error) {
	return hostconfig.New(c.host.config()).GetPluginConfig(ctx, request)
}
