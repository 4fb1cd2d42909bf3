package plugintest

import (
	"context"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/call"
)

// Scrobbler returns the plugin's Scrobbler. Its errors are those of Call; a text in the
// error field of a response is one, too.
func (h *Host) Scrobbler() api.Scrobbler { return scrobbler{h} }

type scrobbler struct{ host *Host }

func (s scrobbler) IsAuthorized(ctx context.Context, request *api.ScrobblerIsAuthorizedRequest) (*api.ScrobblerIsAuthorizedResponse, error) {
	response, err := ask[api.ScrobblerIsAuthorizedResponse](ctx, s.host, "is_authorized", request)
	if err == nil && response.Error != "" {
		return nil, call.ResponseError(response.Error)
	}
	return response, err
}

func (s scrobbler) NowPlaying(ctx context.Context, request *api.ScrobblerNowPlayingRequest) (*api.ScrobblerNowPlayingResponse, error) {
	response, err := ask[api.ScrobblerNowPlayingResponse](ctx, s.host, "now_playing", request)
	if err == nil && response.Error != "" {
		return nil, call.ResponseError(response.Error)
	}
	return response, err
}

func (s scrobbler) Scrobble(ctx context.Context, request *api.ScrobblerScrobbleRequest) (*api.ScrobblerScrobbleResponse, error) {
	response, err := ask[api.ScrobblerScrobbleResponse](ctx, s.host, "scrobble", request)
	if err == nil && response.Error != "" {
		return nil, call.ResponseError(response.Error)
	}
	return response, err
}
