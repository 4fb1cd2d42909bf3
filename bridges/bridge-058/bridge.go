package main

import (
	"context"
	"strings"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/api/host/config"
	"github.com/pluginhost/pluginhost/sdk/api/host/http"
)

// bridge answers with what a pluginhost does. It keeps nothing between calls.
type bridge struct {
	http   poster
	config config.ConfigService
}

// poster is the part of http.HttpService that the bridge uses.
type poster interface {
	Post(ctx context.Context, request *http.HttpRequest) (*http.HttpResponse, error)
}

// OnInit checks the settings. It asks nobody: a pluginhost that is down while Navidrome starts is one later, and Navidrome tries
// OnInit only once.
func (b bridge) OnInit(_ context.Context, request *api.InitRequest) (*api.InitResponse, error) {
	if _, err := read(request.GetConfig()); err != nil {
		return nil, err
	}
	return &api.InitResponse{}, nil
}

// GetArtistMBID returns the MusicBrainz id of an artist.
func (b bridge) GetArtistMBID(ctx context.Context, request *api.ArtistMBIDRequest) (*api.ArtistMBIDResponse, error) {
	return ask[api.ArtistMBIDResponse](ctx, b, "get_artist_mbid", request)
}

// GetArtistURL returns the address of a page about an artist.
func (b bridge) GetArtistURL(ctx context.Context, request *api.ArtistURLRequest) (*api.ArtistURLResponse, error) {
	return ask[api.ArtistURLResponse](ctx, b, "get_artist_url", request)
}

// GetArtistBiography returns a text about an artist. Navidrome would take an empty one, and ask no other agent.
func (b bridge) GetArtistBiography(ctx context.Context, request *api.ArtistBiographyRequest) (*api.ArtistBiographyResponse, error) {
	response, err := ask[api.ArtistBiographyResponse](ctx, b, "get_artist_biography", request)
	if err == nil && strings.TrimSpace(response.GetBiography()) == "" {
		return nil, api.ErrNotFound
	}
	return response, err
}

// GetSimilarArtists returns artists that resemble one.
func (b bridge) GetSimilarArtists(ctx context.Context, request *api.ArtistSimilarRequest) (*api.ArtistSimilarResponse, error) {
	return ask[api.ArtistSimilarResponse](ctx, b, "get_similar_artists", request)
}

// GetArtistImages returns pictures of an artist.
func (b bridge) GetArtistImages(ctx context.Context, request *api.ArtistImageRequest) (*api.ArtistImageResponse, error) {
	return ask[api.ArtistImageResponse](ctx, b, "get_artist_images", request)
}

// GetArtistTopSongs returns the best-known songs of an artist.
func (b bridge) GetArtistTopSongs(ctx context.Context, request *api.ArtistTopSongsRequest) (*api.ArtistTopSongsResponse, error) {
	return ask[api.ArtistTopSongsResponse](ctx, b, "get_artist_top_songs", request)
}

// GetAlbumInfo returns what is known about an album. Navidrome would take one that says nothing, and ask no other agent.
func (b bridge) GetAlbumInfo(ctx context.Context, request *api.AlbumInfoRequest) (*api.AlbumInfoResponse, error) {
	response, err := ask[api.AlbumInfoResponse](ctx, b, "get_album_info", request)
	info := response.GetInfo()
	if err == nil && info.GetName() == "" && info.GetMbid() == "" && strings.TrimSpace(info.GetDescription()) == "" && info.GetUrl() == "" {
		return nil, api.ErrNotFound
	}
	return response, err
}

// GetAlbumImages returns covers of an album.
func (b bridge) GetAlbumImages(ctx context.Context, request *api.AlbumImagesRequest) (*api.AlbumImagesResponse, error) {
	return ask[api.AlbumImagesResponse](ctx, b, "get_album_images", request)
}
