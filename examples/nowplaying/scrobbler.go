package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/api/host/artwork"
	"github.com/pluginhost/pluginhost/sdk/api/host/cache"
	"github.com/pluginhost/pluginhost/sdk/api/host/config"
	"github.com/pluginhost/pluginhost/sdk/api/host/http"
	"github.com/pluginhost/pluginhost/sdk/api/host/subsonicapi"
)

// requestTimeoutMs leaves room in the 10 seconds that a call has when its caller
// does not say otherwise.
const requestTimeoutMs = 5000

// scrobbler keeps nothing in memory between calls; what it must know later is in
// the cache, which all replicas share.
type scrobbler struct {
	http     poster
	config   config.ConfigService
	cache    memory
	artwork  covers
	subsonic subsonicapi.SubsonicAPIService
	log      io.Writer
}

// poster, memory and covers are the parts of the services that the scrobbler
// uses.
type (
	poster interface {
		Post(ctx context.Context, request *http.HttpRequest) (*http.HttpResponse, error)
	}
	memory interface {
		SetBytes(ctx context.Context, request *cache.SetBytesRequest) (*cache.SetResponse, error)
		GetBytes(ctx context.Context, request *cache.GetRequest) (*cache.GetBytesResponse, error)
		SetInt(ctx context.Context, request *cache.SetIntRequest) (*cache.SetResponse, error)
		Has(ctx context.Context, request *cache.HasRequest) (*cache.HasResponse, error)
	}
	covers interface {
		GetAlbumUrl(ctx context.Context, request *artwork.GetArtworkUrlRequest) (*artwork.GetArtworkUrlResponse, error)
	}
)

// IsAuthorized is true for everybody once the webhook is configured.
func (s scrobbler) IsAuthorized(ctx context.Context, _ *api.ScrobblerIsAuthorizedRequest) (*api.ScrobblerIsAuthorizedResponse, error) {
	_, err := s.settings(ctx)
	return &api.ScrobblerIsAuthorizedResponse{Authorized: err == nil}, nil
}

// NowPlaying posts a card, unless one of the same user and album was posted a
// short while ago.
func (s scrobbler) NowPlaying(ctx context.Context, request *api.ScrobblerNowPlayingRequest) (*api.ScrobblerNowPlayingResponse, error) {
	settings, err := s.settings(ctx)
	if err != nil {
		return nil, err
	}
	playing := s.song(ctx, request.Username, request.Track)
	posted := "posted:" + request.UserId + ":" + playing.album()
	seen, err := s.cache.Has(ctx, &cache.HasRequest{Key: posted})
	if err != nil {
		return nil, err
	}
	if seen.Exists {
		return &api.ScrobblerNowPlayingResponse{}, nil
	}
	if err := s.post(ctx, settings, newCard(request.Username, playing, s.cover(ctx, playing))); err != nil {
		return nil, err
	}
	remembered, err := s.cache.SetInt(ctx, &cache.SetIntRequest{Key: posted, Value: request.Timestamp, TtlSeconds: settings.quietSeconds})
	if err == nil && !remembered.Success {
		s.logf("the album could not be remembered and may be posted again: %s", playing.album())
	}
	return &api.ScrobblerNowPlayingResponse{}, err
}

// Scrobble does nothing: a card is posted when a track starts.
func (s scrobbler) Scrobble(context.Context, *api.ScrobblerScrobbleRequest) (*api.ScrobblerScrobbleResponse, error) {
	return &api.ScrobblerScrobbleResponse{}, nil
}

func (s scrobbler) post(ctx context.Context, to settings, what card) error {
	body, err := json.Marshal(what)
	if err != nil {
		return fmt.Errorf("encode the card: %w", err)
	}
	response, err := s.http.Post(ctx, &http.HttpRequest{
		Url:       to.url,
		Headers:   map[string]string{"Content-Type": "application/json", "User-Agent": "pluginhost-nowplaying/1.0"},
		TimeoutMs: requestTimeoutMs,
		Body:      body,
	})
	switch {
	case err != nil:
		return fmt.Errorf("post the card: %w", err)
	case response.Error != "":
		return fmt.Errorf("post the card: %s", response.Error)
	case response.Status < 200 || response.Status > 299:
		return fmt.Errorf("post the card: status %d: %.200q", response.Status, response.Body)
	}
	return nil
}

// logf writes a line to the host's log.
func (s scrobbler) logf(format string, args ...any) {
	_, _ = fmt.Fprintf(s.log, format+"\n", args...)
}
