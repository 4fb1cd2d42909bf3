// Command services is a plugin for tests that calls host services. The name in a
// request for a biography is a Command in JSON, the biography a Result.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/api/host/artwork"
	"github.com/pluginhost/pluginhost/sdk/api/host/cache"
	"github.com/pluginhost/pluginhost/sdk/api/host/subsonicapi"
)

func init() {
	api.RegisterMetadataAgent(agent{})
	api.RegisterScrobbler(scrobbler{})
}

func main() {}

// command is what to do.
type command struct {
	Do string `json:"do"`
	// Key is any bytes; Value is repeated Times times, at least once.
	Key   []byte `json:"key"`
	Value string `json:"value"`
	Times int    `json:"times"`
	TTL   int64  `json:"ttl"`
	ID    string `json:"id"`
	Size  int32  `json:"size"`
	URL   string `json:"url"`
}

// result is what came of it.
type result struct {
	OK    bool   `json:"ok"` // success or exists
	Value string `json:"value"`
	Error string `json:"error"`
}

type agent struct{ api.UnimplementedMetadataAgent }

func (agent) GetArtistBiography(ctx context.Context, request *api.ArtistBiographyRequest) (*api.ArtistBiographyResponse, error) {
	var c command
	if err := json.Unmarshal([]byte(request.Name), &c); err != nil {
		return nil, err
	}
	r, err := c.run(ctx)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(r)
	return &api.ArtistBiographyResponse{Biography: string(body)}, err
}

var (
	values   = cache.NewCacheService()
	images   = artwork.NewArtworkService()
	subsonic = subsonicapi.NewSubsonicAPIService()
)

func (c command) run(ctx context.Context) (result, error) {
	key := string(c.Key)
	switch c.Do {
	case "set":
		r, err := values.SetString(ctx, &cache.SetStringRequest{Key: key, Value: strings.Repeat(c.Value, max(c.Times, 1)), TtlSeconds: c.TTL})
		return result{OK: r.GetSuccess()}, err
	case "get":
		r, err := values.GetString(ctx, &cache.GetRequest{Key: key})
		return result{OK: r.GetExists(), Value: r.GetValue()}, err
	case "getInt":
		r, err := values.GetInt(ctx, &cache.GetRequest{Key: key})
		return result{OK: r.GetExists()}, err
	case "remove":
		r, err := values.Remove(ctx, &cache.RemoveRequest{Key: key})
		return result{OK: r.GetSuccess()}, err
	case "has":
		r, err := values.Has(ctx, &cache.HasRequest{Key: key})
		return result{OK: r.GetExists()}, err
	case "artist":
		r, err := images.GetArtistUrl(ctx, &artwork.GetArtworkUrlRequest{Id: c.ID, Size: c.Size})
		return result{Value: r.GetUrl()}, err
	case "album":
		r, err := images.GetAlbumUrl(ctx, &artwork.GetArtworkUrlRequest{Id: c.ID, Size: c.Size})
		return result{Value: r.GetUrl()}, err
	case "track":
		r, err := images.GetTrackUrl(ctx, &artwork.GetArtworkUrlRequest{Id: c.ID, Size: c.Size})
		return result{Value: r.GetUrl()}, err
	case "call":
		r, err := subsonic.Call(ctx, &subsonicapi.CallRequest{Url: c.URL})
		return result{Value: r.GetJson(), Error: r.GetError()}, err
	default:
		return result{}, fmt.Errorf("cannot do %q", c.Do)
	}
}

// scrobbler hands every track on to Navidrome, which hands it to all scrobblers.
type scrobbler struct{}

func (scrobbler) IsAuthorized(context.Context, *api.ScrobblerIsAuthorizedRequest) (*api.ScrobblerIsAuthorizedResponse, error) {
	return &api.ScrobblerIsAuthorizedResponse{Authorized: true}, nil
}

func (scrobbler) NowPlaying(context.Context, *api.ScrobblerNowPlayingRequest) (*api.ScrobblerNowPlayingResponse, error) {
	return &api.ScrobblerNowPlayingResponse{}, nil
}

func (scrobbler) Scrobble(ctx context.Context, request *api.ScrobblerScrobbleRequest) (*api.ScrobblerScrobbleResponse, error) {
	r, err := subsonic.Call(ctx, &subsonicapi.CallRequest{Url: "/rest/scrobble?u=" + request.Username + "&id=" + request.Track.GetId()})
	if err != nil {
		return nil, err
	}
	return &api.ScrobblerScrobbleResponse{Error: r.Error}, nil
}
