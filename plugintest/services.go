package plugintest

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/pluginhost/pluginhost/api/host"
	apiartwork "github.com/pluginhost/pluginhost/api/host/artwork"
	apicache "github.com/pluginhost/pluginhost/api/host/cache"
	apiconfig "github.com/pluginhost/pluginhost/api/host/config"
	apihttp "github.com/pluginhost/pluginhost/api/host/http"
	apischeduler "github.com/pluginhost/pluginhost/api/host/scheduler"
	apisubsonicapi "github.com/pluginhost/pluginhost/api/host/subsonicapi"
	apiwebsocket "github.com/pluginhost/pluginhost/api/host/websocket"
	"github.com/pluginhost/pluginhost/hostsvc/artwork"
	hostconfig "github.com/pluginhost/pluginhost/hostsvc/config"
	hosthttp "github.com/pluginhost/pluginhost/hostsvc/http"
	"github.com/pluginhost/pluginhost/hostsvc/scheduler"
	"github.com/pluginhost/pluginhost/hostsvc/websocket"
	"github.com/pluginhost/pluginhost/wasmrt"
)

// services are the host services that the manifest was granted. Whoever has them closes
// them.
type services struct {
	functions []host.Function
	closers   []io.Closer
}

// grant makes the services that the manifest asks for.
func (h *Host) grant() (services, error) {
	offers := map[string]func(*services) error{
		"http":        h.grantHTTP,
		"config":      h.grantConfig,
		"cache":       h.grantCache,
		"artwork":     h.grantArtwork,
		"subsonicapi": h.grantSubsonic,
		"scheduler":   h.grantScheduler,
		"websocket":   h.grantWebSocket,
	}
	var granted services
	for _, permission := range h.manifest.Permissions.Granted() {
		if err := offers[permission](&granted); err != nil {
			return granted, fmt.Errorf("permission %s: %w", permission, err)
		}
	}
	return granted, nil
}

func (h *Host) grantHTTP(s *services) error {
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
		return err
	}
	s.functions = append(s.functions, apihttp.Functions(service)...)
	s.closers = append(s.closers, service)
	return nil
}

func (h *Host) grantConfig(s *services) error {
	s.functions = append(s.functions, apiconfig.Functions(currentConfig{h})...)
	return nil
}

// currentConfig hands out the configuration of the moment.
type currentConfig struct{ host *Host }

// GetPluginConfig implements config.ConfigService.
func (c currentConfig) GetPluginConfig(ctx context.Context, request *apiconfig.GetPluginConfigRequest) (*apiconfig.GetPluginConfigResponse, error) {
	return hostconfig.New(c.host.config()).GetPluginConfig(ctx, request)
}

func (h *Host) grantCache(s *services) error {
	s.functions = append(s.functions, apicache.Functions(h.cache)...)
	return nil
}

func (h *Host) grantArtwork(s *services) error {
	s.functions = append(s.functions, apiartwork.Functions(artwork.New(addresses{h}))...)
	return nil
}

func (h *Host) grantSubsonic(s *services) error {
	h.subsonic.Store(h.newSubsonic(nil))
	s.functions = append(s.functions, apisubsonicapi.Functions(currentSubsonic{h})...)
	return nil
}

func (h *Host) grantScheduler(s *services) error {
	service, err := scheduler.New(scheduler.Config{
		PluginID:   h.id,
		Store:      h.schedules,
		Zone:       timeZone,
		MaxPayload: maxPayload,
		Logger:     h.logger,
		Now:        h.clock.now,
	})
	if err != nil {
		return err
	}
	s.functions = append(s.functions, apischeduler.Functions(service)...)
	return nil
}

func (h *Host) grantWebSocket(s *services) error {
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
		return err
	}
	s.functions = append(s.functions, apiwebsocket.Functions(service)...)
	return nil
}

func (s services) close() error {
	var errs []error
	for _, closer := range s.closers {
		errs = append(errs, closer.Close())
	}
	return errors.Join(errs...)
}

func (s services) hostFunctions() []wasmrt.HostFunction {
	functions := make([]wasmrt.HostFunction, len(s.functions))
	for i, function := range s.functions {
		functions[i] = wasmrt.HostFunction(function)
	}
	return functions
}
