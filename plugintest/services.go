package plugintest

import (
	"context"
	"io"

	"github.com/pluginhost/pluginhost/hostsvc/artwork"
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
	return granted.Grant(h.manifest.Permissions.Granted(), map[string]granted.Offer{
		"http":        h.offerHTTP,
		"config":      h.offerConfig,
		"cache":       h.offerCache,
		"artwork":     h.offerArtwork,
		"subsonicapi": h.offerSubsonic,
		"scheduler":   h.offerScheduler,
		"websocket":   h.offerWebSocket,
	})
}

func (h *Host) offerHTTP() ([]host.Function, io.Closer, error) {
	permission := h.manifest.Permissions.HTTP
	service, err := hosthttp.New(hosthttp.Config{
		PluginID:          h.id,
		AllowedURLs:       permission.AllowedURLs,
		AllowLocalNetwork: permission.AllowLocalNetwork,
		MaxTimeout:        maxCallTimeout,
		Logger:            h.logger,
		Transport:         h.web,
	})
	if err != nil {
		return nil, nil, err
	}
	return service.Functions(), service, nil
}

func (h *Host) offerConfig() ([]host.Function, io.Closer, error) {
	return hostconfig.Functions(currentConfig{h}), nil, nil
}

// currentConfig hands out the configuration of the moment.
type currentConfig struct{ host *Host }

// GetPluginConfig implements config.ConfigService.
func (c currentConfig) GetPluginConfig(ctx context.Context, request *apiconfig.GetPluginConfigRequest) (*apiconfig.GetPluginConfigResponse, error) {
	return hostconfig.New(c.host.config()).GetPluginConfig(ctx, request)
}

func (h *Host) offerCache() ([]host.Function, io.Closer, error) {
	return h.cache.Functions(), nil, nil
}

func (h *Host) offerArtwork() ([]host.Function, io.Closer, error) {
	return artwork.New(addresses{h}).Functions(), nil, nil
}

func (h *Host) offerSubsonic() ([]host.Function, io.Closer, error) {
	h.subsonic.Store(h.newSubsonic(nil))
	return subsonicapi.Functions(currentSubsonic{h}), nil, nil
}

func (h *Host) offerScheduler() ([]host.Function, io.Closer, error) {
	service, err := scheduler.New(scheduler.Config{
		PluginID:   h.id,
		Store:      h.schedules,
		Zone:       timeZone,
		MaxPayload: maxPayload,
		Logger:     h.logger,
		Now:        h.clock.now,
	})
	if err != nil {
		return nil, nil, err
	}
	return service.Functions(), nil, nil
}

func (h *Host) offerWebSocket() ([]host.Function, io.Closer, error) {
	permission := h.manifest.Permissions.WebSocket
	service, err := websocket.New(websocket.Config{
		PluginID:          h.id,
		AllowedURLs:       permission.AllowedURLs,
		AllowLocalNetwork: permission.AllowLocalNetwork,
		MaxMessage:        maxMessage,
		PingInterval:      pingInterval,
		Sockets:           h.sockets,
		Logger:            h.logger,
		Dial:              h.sockets.dial,
	})
	if err != nil {
		return nil, nil, err
	}
	return service.Functions(), nil, nil
}
