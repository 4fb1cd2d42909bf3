// Command ticker is a plugin that follows prices through a WebSocket and posts to a
// web address when one has moved far.
package main

import (
	"os"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/api/host/cache"
	"github.com/pluginhost/pluginhost/sdk/api/host/config"
	"github.com/pluginhost/pluginhost/sdk/api/host/http"
	"github.com/pluginhost/pluginhost/sdk/api/host/scheduler"
	"github.com/pluginhost/pluginhost/sdk/api/host/websocket"
)

func init() {
	t := ticker{
		config:    config.NewConfigService(),
		cache:     cache.NewCacheService(),
		schedules: scheduler.NewSchedulerService(),
		sockets:   websocket.NewWebSocketService(),
		http:      http.NewHttpService(),
		log:       os.Stderr,
	}
	api.RegisterLifecycleManagement(t)
	api.RegisterWebSocketCallback(t)
	api.RegisterSchedulerCallback(t)
}

func main() {} // never runs
