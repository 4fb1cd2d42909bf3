// Command nowplaying is a plugin that posts a card with the cover to a Discord
// channel when a user starts an album.
package main

import (
	"os"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/api/host/artwork"
	"github.com/pluginhost/pluginhost/sdk/api/host/cache"
	"github.com/pluginhost/pluginhost/sdk/api/host/config"
	"github.com/pluginhost/pluginhost/sdk/api/host/http"
	"github.com/pluginhost/pluginhost/sdk/api/host/subsonicapi"
)

func init() {
	api.RegisterScrobbler(scrobbler{
		http:     http.NewHttpService(),
		config:   config.NewConfigService(),
		cache:    cache.NewCacheService(),
		artwork:  artwork.NewArtworkService(),
		subsonic: subsonicapi.NewSubsonicAPIService(),
		log:      os.Stderr,
	})
}

func main() {} // never runs
