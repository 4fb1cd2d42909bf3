// Command bridge-058 is a plugin for Navidrome 0.57 to 0.59 that passes on what its MetadataAgent is asked to a pluginhost,
// over the HTTP gateway.
package main

import (
	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/api/host/config"
	"github.com/pluginhost/pluginhost/sdk/api/host/http"
)

func init() {
	b := bridge{http: http.NewHttpService(), config: config.NewConfigService()}
	api.RegisterMetadataAgent(b)
	api.RegisterLifecycleManagement(b)
}

func main() {} // never runs
