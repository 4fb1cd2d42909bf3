package client

import (
	"context"

	"github.com/pluginhost/pluginhost/sdk/api"
)

// MetadataAgent returns the MetadataAgent of a plugin: the same interface that
// the plugin implements, called over NATS.
func (c *Client) MetadataAgent(id string) api.MetadataAgent { return metadataAgent{c, id} }

type metadataAgent struct {
	client *Client
	id     string
}

// invokeNew is invoke with a new response.
func invokeNew[Resp any, PResp interface {
	*Resp
	message
}](ctx context.Context, c *Client, id, method string, request message) (PResp, error) {
	response := PResp(new(Resp))
	if err := invoke(ctx, c, id, method, request, response); err != nil {
		return nil, err
	}
	return response, nil
}

func (a metadataAgent) GetArtistMBID(ctx context.Context, request *api.ArtistMBIDRequest) (*api.ArtistMBIDResponse, error) {
	return invokeNew[api.ArtistMBIDResponse](ctx, a.client, a.id, "get_artist_mbid", request)
}

func (a metadataAgent) GetArtistURL(ctx context.Context, request *api.ArtistURLRequest) (*api.ArtistURLResponse, error) {
	return invokeNew[api.ArtistURLResponse](ctx, a.client, a.id, "get_artist_url", request)
}

func (a metadataAgent) GetArtistBiography(ctx context.Context, request *api.ArtistBiographyRequest) (*api.ArtistBiographyResponse, error) {
	return invokeNew[api.ArtistBiographyResponse](ctx, a.client, a.id, "get_artist_biography", request)
}

func (a metadataAgent) GetSimilarArtists(ctx context.Context, request *api.ArtistSimilarRequest) (*api.ArtistSimilarResponse, error) {
	return invokeNew[api.ArtistSimilarResponse](ctx, a.client, a.id, "get_similar_artists", request)
}

func (a metadataAgent) GetArtistImages(ctx context.Context, request *api.ArtistImageRequest) (*api.ArtistImageResponse, error) {
	return invokeNew[api.ArtistImageResponse](ctx, a.client, a.id, "get_artist_images", request)
}

func (a metadataAgent) GetArtistTopSongs(ctx context.Context, request *api.ArtistTopSongsRequest) (*api.ArtistTopSongsResponse, error) {
	return invokeNew[api.ArtistTopSongsResponse](ctx, a.client, a.id, "get_artist_top_songs", request)
}

func (a metadataAgent) GetAlbumInfo(ctx context.Context, request *api.AlbumInfoRequest) (*api.AlbumInfoResponse, error) {
	return invokeNew[api.AlbumInfoResponse](ctx, a.client, a.id, "get_album_info", request)
}

func (a metadataAgent) GetAlbumImages(ctx context.Context, request *api.AlbumImagesRequest) (*api.AlbumImagesResponse, error) {
	return invokeNew[api.AlbumImagesResponse](ctx, a.client, a.id, "get_album_images", request)
}
