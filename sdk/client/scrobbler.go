package client

import (
	"context"
	"errors"
	"time"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/call"
	"github.com/pluginhost/pluginhost/subjects"
)

// User is whose music it is. Plugins need both: Navidrome 0.58 left the name
// out of scrobbles.
type User struct {
	// ID is the music server's id of the user.
	ID string
	// Name is what the user logs in with.
	Name string
}

// Scrobbler is the Scrobbler of a plugin, called over NATS. What a plugin puts
// into the error field of a response is returned as an error:
// subjects.ErrPlugin, or what the two standard texts stand for. Errors match ErrNotAuthorized, ErrRetryLater and
// ErrUnrecoverable, too, where it is known what they mean.
type Scrobbler struct {
	client *Client
	id     string
}

// Scrobbler returns the Scrobbler of a plugin.
func (c *Client) Scrobbler(id string) Scrobbler { return Scrobbler{c, id} }

// IsAuthorized asks whether the plugin scrobbles for user. While nobody can tell (subjects.ErrUnavailable, ErrDeadlineExceeded and
// ErrOverloaded: a Navidrome would lose the play for want of a yes) it is what the plugin said last of this user to this Client, if
// it ever did; otherwise that error. Of the last 10,000 pairs of plugin and user is known what was said.
func (s Scrobbler) IsAuthorized(ctx context.Context, user User) (bool, error) {
	request := &api.ScrobblerIsAuthorizedRequest{UserId: user.ID, Username: user.Name}
	response, err := invokeNew[api.ScrobblerIsAuthorizedResponse](ctx, s.client, s.id, "is_authorized", request)
	switch {
	case err == nil && response.Error == "":
		s.client.said.keep(s.id, user, response.Authorized)
		return response.Authorized, nil
	case err == nil:
		return response.Authorized, scrobbled(call.ResponseError(response.Error))
	case errors.Is(err, subjects.ErrUnavailable), errors.Is(err, subjects.ErrDeadlineExceeded), errors.Is(err, subjects.ErrOverloaded):
		if authorized, is := s.client.said.last(s.id, user); is {
			return authorized, nil
		}
	}
	return false, scrobbled(err)
}

// NowPlaying tells that user has started track, at a second's precision.
func (s Scrobbler) NowPlaying(ctx context.Context, user User, track *api.TrackInfo, at time.Time) error {
	request := &api.ScrobblerNowPlayingRequest{UserId: user.ID, Username: user.Name, Track: track, Timestamp: at.Unix()}
	response, err := invokeNew[api.ScrobblerNowPlayingResponse](ctx, s.client, s.id, "now_playing", request)
	if err != nil {
		return scrobbled(err)
	}
	return scrobbled(call.ResponseError(response.Error))
}

// Scrobble records that user has played track, at a second's precision.
func (s Scrobbler) Scrobble(ctx context.Context, user User, track *api.TrackInfo, at time.Time) error {
	request := &api.ScrobblerScrobbleRequest{UserId: user.ID, Username: user.Name, Track: track, Timestamp: at.Unix()}
	response, err := invokeNew[api.ScrobblerScrobbleResponse](ctx, s.client, s.id, "scrobble", request)
	if err != nil {
		return scrobbled(err)
	}
	return scrobbled(call.ResponseError(response.Error))
}
