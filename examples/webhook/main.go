// Command webhook is a plugin that posts what users play, as JSON, to a web
// address.
package main

import (
	"os"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/api/host/config"
	"github.com/pluginhost/pluginhost/sdk/api/host/http"
)

func init() {
	api.RegisterScrobbler(scrobbler{http: http.NewHttpService(), config: config.NewConfigService(), log: os.Stderr})
}

func main() {} // never runs
