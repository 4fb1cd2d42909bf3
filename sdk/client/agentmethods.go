package client

import (
	"context"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/call"
	"github.com/pluginhost/pluginhost/subjects"
)

// agentMethods are the methods of MetadataAgent by their names on the bus: each says whether there is something in a response.
var agentMethods = map[string]func(response []byte) (bool, error){
	"get_artist_mbid":      holds(func(r *api.ArtistMBIDResponse) bool { return r.Mbid != "" }),
	"get_artist_url":       holds(func(r *api.ArtistURLResponse) bool { return r.Url != "" }),
	"get_artist_biography": holds(func(r *api.ArtistBiographyResponse) bool { return r.Biography != "" }),
	"get_similar_artists":  holds(func(r *api.ArtistSimilarResponse) bool { return len(r.Artists) > 0 }),
	"get_artist_images":    holds(func(r *api.ArtistImageResponse) bool { return len(r.Images) > 0 }),
	"get_artist_top_songs": holds(func(r *api.ArtistTopSongsResponse) bool { return len(r.Songs) > 0 }),
	"get_album_info": holds(func(r *api.AlbumInfoResponse) bool {
		return r.Info != nil && (r.Info.Name != "" || r.Info.Mbid != "" || r.Info.Description != "" || r.Info.Url != "")
	}),
	"get_album_images": holds(func(r *api.AlbumImagesResponse) bool { return len(r.Images) > 0 }),
}

// holds reads a response and looks into it.
func holds[Resp any, PResp interface {
	*Resp
	message
}](look func(PResp) bool) func([]byte) (bool, error) {
	return func(response []byte) (bool, error) {
		decoded := PResp(new(Resp))
		if err := decoded.UnmarshalVT(response); err != nil {
			return false, err
		}
		return look(decoded), nil
	}
}

func notFound() error {
	return call.MatchAPI(subjects.Errorf(subjects.ErrNotFound, "%w", api.ErrNotFound))
}

func notImplemented() error {
	return call.MatchAPI(subjects.Errorf(subjects.ErrNotImplemented, "%w", api.ErrNotImplemented))
}

// askNew asks a set with messages.
func askNew[Resp any, PResp interface {
	*Resp
	message
}](ctx context.Context, s *AgentSet, method string, request message) (PResp, error) {
	body, err := request.MarshalVT()
	if err != nil {
		return nil, err
	}
	answer, err := s.Ask(ctx, method, body)
	if err != nil {
		return nil, err
	}
	response := PResp(new(Resp))
	return response, response.UnmarshalVT(answer.Response)
}

// GetArtistMBID implements api.MetadataAgent.
func (s *AgentSet) GetArtistMBID(ctx context.Context, request *api.ArtistMBIDRequest) (*api.ArtistMBIDResponse, error) {
	return askNew[api.ArtistMBIDResponse](ctx, s, "get_artist_mbid", request)
}

// GetArtistURL implements api.MetadataAgent.
func (s *AgentSet) GetArtistURL(ctx context.Context, request *api.ArtistURLRequest) (*api.ArtistURLResponse, error) {
	return askNew[api.ArtistURLResponse](ctx, s, "get_artist_url", request)
}

// GetArtistBiography implements api.MetadataAgent.
func (s *AgentSet) GetArtistBiography(ctx context.Context, request *api.ArtistBiographyRequest) (*api.ArtistBiographyResponse, error) {
	return askNew[api.ArtistBiographyResponse](ctx, s, "get_artist_biography", request)
}

// GetSimilarArtists implements api.MetadataAgent.
func (s *AgentSet) GetSimilarArtists(ctx context.Context, request *api.ArtistSimilarRequest) (*api.ArtistSimilarResponse, error) {
	return askNew[api.ArtistSimilarResponse](ctx, s, "get_similar_artists", request)
}

// GetArtistImages implements api.MetadataAgent.
func (s *AgentSet) GetArtistImages(ctx context.Context, request *api.ArtistImageRequest) (*api.ArtistImageResponse, error) {
	return askNew[api.ArtistImageResponse](ctx, s, "get_artist_images", request)
}

// GetArtistTopSongs implements api.MetadataAgent.
func (s *AgentSet) GetArtistTopSongs(ctx context.Context, request *api.ArtistTopSongsRequest) (*api.ArtistTopSongsResponse, error) {
	return askNew[api.ArtistTopSongsResponse](ctx, s, "get_artist_top_songs", request)
}

// GetAlbumInfo implements api.MetadataAgent.
func (s *AgentSet) GetAlbumInfo(ctx context.Context, request *api.AlbumInfoRequest) (*api.AlbumInfoResponse, error) {
	return askNew[api.AlbumInfoResponse](ctx, s, "get_album_info", request)
}

// GetAlbumImages implements api.MetadataAgent.
func (s *AgentSet) GetAlbumImages(ctx context.Context, request *api.AlbumImagesRequest) (*api.AlbumImagesResponse, error) {
	return askNew[api.AlbumImagesResponse](ctx, s, "get_album_images", request)
}
