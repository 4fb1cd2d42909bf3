// Scrobbler hands plays to the service whose address is its entry "service", as plugins that know nothing of a queue
// do: whatever goes wrong is a plain error. With the entry "asks" it asks the service as well whether it is
// authorised for a user.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/api/host/config"
	"github.com/pluginhost/pluginhost/sdk/api/host/http"
)

// play is what the service is told.
type play struct {
	User        string `json:"user"`
	UserID      string `json:"user_id"`
	Track       string `json:"track"`
	Album       string `json:"album"`
	TrackNumber int32  `json:"track_number"`
	Second      int64  `json:"second"`
}

type plugin struct{}

func main() {}

func init() { api.RegisterScrobbler(plugin{}) }

func (plugin) IsAuthorized(ctx context.Context, r *api.ScrobblerIsAuthorizedRequest) (*api.ScrobblerIsAuthorizedResponse, error) {
	entries, err := settings(ctx)
	if err != nil {
		return nil, err
	}
	if entries["asks"] == "" {
		return &api.ScrobblerIsAuthorizedResponse{Authorized: true}, nil
	}
	status, _, err := tell(ctx, entries["service"]+"/authorized", play{User: r.Username, UserID: r.UserId})
	if err != nil {
		return &api.ScrobblerIsAuthorizedResponse{Error: err.Error()}, nil //nolint:nilerr // the response has it
	}
	return &api.ScrobblerIsAuthorizedResponse{Authorized: status == 200}, nil
}

func (plugin) NowPlaying(ctx context.Context, r *api.ScrobblerNowPlayingRequest) (*api.ScrobblerNowPlayingResponse, error) {
	entries, err := settings(ctx)
	if err != nil {
		return nil, err
	}
	_, _, err = tell(ctx, entries["service"]+"/playing", of(r.Username, r.UserId, r.Track, r.Timestamp))
	return &api.ScrobblerNowPlayingResponse{}, err
}

func (plugin) Scrobble(ctx context.Context, r *api.ScrobblerScrobbleRequest) (*api.ScrobblerScrobbleResponse, error) {
	entries, err := settings(ctx)
	if err != nil {
		return nil, err
	}
	status, text, err := tell(ctx, entries["service"]+"/play", of(r.Username, r.UserId, r.Track, r.Timestamp))
	switch {
	case err != nil:
		return &api.ScrobblerScrobbleResponse{Error: "the service does not answer"}, nil //nolint:nilerr // the response has it
	case status == 200 && text == "crash":
		panic("as the service says")
	case status == 200 && text == "fail":
		return nil, errors.New("no luck")
	case status == 200:
		return &api.ScrobblerScrobbleResponse{Error: text}, nil
	default:
		return &api.ScrobblerScrobbleResponse{Error: fmt.Sprintf("the service said %d", status)}, nil
	}
}

func of(user, id string, track *api.TrackInfo, second int64) play {
	return play{User: user, UserID: id, Track: track.GetName(), Album: track.GetAlbum(), TrackNumber: track.GetTrackNumber(), Second: second}
}

func settings(ctx context.Context) (map[string]string, error) {
	entries, err := config.NewConfigService().GetPluginConfig(ctx, &config.GetPluginConfigRequest{})
	return entries.GetConfig(), err
}

func tell(ctx context.Context, url string, what play) (status int32, text string, err error) {
	body, err := json.Marshal(what)
	if err != nil {
		return 0, "", err
	}
	answer, err := http.NewHttpService().Post(ctx, &http.HttpRequest{Url: url, Body: body, TimeoutMs: 2000})
	if err != nil {
		return 0, "", err
	}
	if answer.Error != "" {
		return 0, "", errors.New(answer.Error)
	}
	return answer.Status, strings.TrimSpace(string(answer.Body)), nil
}
