// Command wikipedia is a plugin that takes artist biographies, page addresses
// and images from Wikipedia.
package main

import (
	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/api/host/config"
	"github.com/pluginhost/pluginhost/sdk/api/host/http"
)

func init() {
	api.RegisterMetadataAgent(agent{http: http.NewHttpService(), config: config.NewConfigService()})
}

func main() {} // never runs
