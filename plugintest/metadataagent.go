package plugintest

import (
	"context"

	"github.com/pluginhost/pluginhost/sdk/api"
)

// MetadataAgent returns the plugin's MetadataAgent. Its errors are those of Call.
func (h *Host) MetadataAgent() api.MetadataAgent { return metadataAgent{h} }

type metadataAgent struct{ host *Host }

// ask is Call with a new response.
func ask[Resp any, PResp interface {
	*Resp
	Message
}](ctx context.Context, h *Host, method string, request Message) (PResp, error) {
	response := PResp(new(Resp))
	if err := h.Call(ctx, method, request, response); err != nil {
		return nil, err
	}
	return response, nil
}

func (a metadataAgent) GetArtistMBID(ctx context.Context, request *api.ArtistMBIDRequest) (*api.ArtistMBIDResponse, error) {
	return ask[api.ArtistMBIDResponse](ctx, a.host, "get_artist_mbid", request)
}

func (a metadataAgent) GetArtistURL(ctx context.Context, request *api.ArtistURLRequest) (*api.ArtistURLResponse, error) {
	return ask[api.ArtistURLResponse](ctx, a.host, "get_artist_url", request)
}

func (a metadataAgent) GetArtistBiography(ctx context.Context, request *api.ArtistBiographyRequest) (*api.ArtistBiographyResponse, error) {
	return ask[api.ArtistBiographyResponse](ctx, a.host, "get_artist_biography", request)
}

func (a metadataAgent) GetSimilarArtists(ctx context.Context, request *api.ArtistSimilarRequest) (*api.ArtistSimilarResponse, error) {
	return ask[api.ArtistSimilarResponse](ctx, a.host, "get_similar_artists", request)
}

func (a metadataAgent) GetArtistImages(ctx context.Context, request *api.ArtistImageRequest) (*api.ArtistImageResponse, error) {
	return ask[api.ArtistImageResponse](ctx, a.host, "get_artist_images", request)
}

func (a metadataAgent) GetArtistTopSongs(ctx context.Context, request *api.ArtistTopSongsRequest) (*api.ArtistTopSongsResponse, error) {
	return ask[api.ArtistTopSongsResponse](ctx, a.host, "get_artist_top_songs", request)
}

func (a metadataAgent) GetAlbumInfo(ctx context.Context, request *api.AlbumInfoRequest) (*api.AlbumInfoResponse, error) {
	return ask[api.AlbumInfoResponse](ctx, a.host, "get_album_info", request)
}

func (a metadataAgent) GetAlbumImages(ctx context.Context, request *api.AlbumImagesRequest) (*api.AlbumImagesResponse, error) {
	return ask[api.AlbumImagesResponse](ctx, a.host, "get_album_images", request)
}
