package gateway

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
)

// decoded is a message of the contract.
type decoded interface{ UnmarshalVT(data []byte) error }

// scrobble takes a play.
func (g *Gateway) scrobble(a *answering, r *http.Request, grant subjects.AccessTokenGrant, at place) error {
	var play api.ScrobblerScrobbleRequest
	release, err := g.play(a, r, grant, "scrobble", &play)
	defer release()
	if err != nil {
		return err
	}
	userID, username, err := userOf(grant, play.UserId, play.Username)
	if err != nil {
		return err
	}
	given, err := g.timeout(r)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), given)
	defer cancel()
	user := client.User{ID: userID, Name: username}
	if err := g.Plays.Submit(ctx, toWhom(grant, at), user, play.Track, time.Unix(play.Timestamp, 0)); err != nil {
		return submitFailure(err)
	}
	a.send(http.StatusAccepted, subjects.ContentTypeJSON, safe)
	return nil
}

// safe is the answer that a play is.
var safe = []byte(`{"v":1}`)

// submitFailure is why a play may not be safe. Whatever is not known to be final can be sent again: a play is taken once.
func submitFailure(err error) error {
	var failure *subjects.Error
	if errors.As(err, &failure) {
		return failure
	}
	return subjects.Errorf(subjects.ErrUnavailable, "the play may not be safe: send it again: %w", err)
}

// nowPlaying passes on what somebody has started to play.
func (g *Gateway) nowPlaying(a *answering, r *http.Request, grant subjects.AccessTokenGrant, at place) error {
	var playing api.ScrobblerNowPlayingRequest
	release, err := g.play(a, r, grant, "now_playing", &playing)
	defer release()
	if err != nil {
		return err
	}
	userID, username, err := userOf(grant, playing.UserId, playing.Username)
	switch {
	case err != nil:
		return err
	case userID == "" && username == "":
		return subjects.Errorf(subjects.ErrBadRequest, "it needs a user: a name or an id")
	case playing.Track.GetName() == "":
		return subjects.Errorf(subjects.ErrBadRequest, "it needs a track with a name")
	}
	since := time.Now()
	if playing.Timestamp > 0 {
		since = time.Unix(playing.Timestamp, 0)
	}
	g.Plays.NowPlaying(toWhom(grant, at), client.User{ID: userID, Name: username}, playing.Track, since)
	a.send(http.StatusNoContent, "", nil)
	return nil
}

// toWhom is the plugin that a play is for; empty is all.
func toWhom(grant subjects.AccessTokenGrant, at place) string {
	if at.plugin != "" {
		return at.plugin
	}
	return grant.Plugin
}

// play reads the request of a method of Scrobbler. The caller calls release once nothing of it is needed any more, also after an error.
func (g *Gateway) play(a *answering, r *http.Request, grant subjects.AccessTokenGrant, name string, into decoded) (release func(), err error) {
	method, err := methodOf(name)
	if err != nil {
		return func() {}, err
	}
	// A bridge of a later version may tell more of a track, and would have to drop a play that is refused.
	_, message, release, err := g.message(a, r, grant, method.RequestFromNewerJSON)
	if err == nil {
		if err = into.UnmarshalVT(message); err != nil {
			err = subjects.Errorf(subjects.ErrBadRequest, "the body is no request of %s: %w", name, err)
		}
	}
	return release, err
}
