// Command minimal is a plugin that links artists to their MusicBrainz pages.
package main

import (
	"context"
	"net/url"

	"github.com/pluginhost/pluginhost/sdk/api"
)

func init() { api.RegisterMetadataAgent(agent{}) }

func main() {} // never runs

type agent struct{ api.UnimplementedMetadataAgent }

// GetArtistURL needs no look-up: the address is made of the MusicBrainz id.
func (agent) GetArtistURL(_ context.Context, request *api.ArtistURLRequest) (*api.ArtistURLResponse, error) {
	if request.Mbid == "" {
		return nil, api.ErrNotFound
	}
	return &api.ArtistURLResponse{Url: "https://musicbrainz.org/artist/" + url.PathEscape(request.Mbid)}, nil
}
