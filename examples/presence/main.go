// Command presence is a plugin that shows on a chat service what its users play,
// through a gateway that speaks as Discord's does.
package main

import (
	"context"
	"os"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/api/host/cache"
	"github.com/pluginhost/pluginhost/sdk/api/host/config"
	"github.com/pluginhost/pluginhost/sdk/api/host/websocket"
)

func init() {
	p := &presence{
		config:  config.NewConfigService(),
		cache:   cache.NewCacheService(),
		sockets: websocket.NewWebSocketService(),
		log:     os.Stderr,
	}
	p.heartbeats = api.RegisterNamedSchedulerCallback("heartbeat", callback(p.beat))
	p.endings = api.RegisterNamedSchedulerCallback("clear", callback(p.clear))
	p.reconnects = api.RegisterNamedSchedulerCallback("reconnect", callback(p.reconnect))
	api.RegisterScrobbler(p)
	api.RegisterWebSocketCallback(p)
}

func main() {} // never runs

// callback is an api.SchedulerCallback without a response.
type callback func(ctx context.Context, request *api.SchedulerCallbackRequest) error

// OnSchedulerCallback implements api.SchedulerCallback.
func (c callback) OnSchedulerCallback(ctx context.Context, request *api.SchedulerCallbackRequest) (*api.SchedulerCallbackResponse, error) {
	return &api.SchedulerCallbackResponse{}, c(ctx, request)
}
