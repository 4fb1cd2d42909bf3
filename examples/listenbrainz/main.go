// Command listenbrainz is a plugin that scrobbles to ListenBrainz.
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
