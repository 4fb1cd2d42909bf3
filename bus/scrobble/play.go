package scrobble

import (
	"errors"
	"fmt"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/api/schema"
	"github.com/pluginhost/pluginhost/sdk/call"
	"github.com/pluginhost/pluginhost/subjects"
)

// errNoPlay says that what was published is no play.
var errNoPlay = errors.New("it is no play")

// play is what was published.
type play struct {
	request *api.ScrobblerScrobbleRequest
	user    User
}

// readPlay reads what was published. What is no play is errNoPlay.
func readPlay(header map[string][]string, body []byte) (*play, error) {
	isJSON, err := call.IsJSON(header, body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoPlay, err)
	}
	if isJSON {
		method, _ := schema.Navidrome058().Method("scrobble")
		if body, err = method.RequestFromJSON(body); err != nil {
			return nil, fmt.Errorf("%w: %w", errNoPlay, err)
		}
	}
	p := &play{request: new(api.ScrobblerScrobbleRequest)}
	if err := p.request.UnmarshalVT(body); err != nil {
		return nil, fmt.Errorf("%w: %w", errNoPlay, err)
	}
	p.user = User{Name: p.request.Username, ID: p.request.UserId}
	return p, p.check()
}

// check says what a play lacks.
func (p *play) check() error {
	switch track := p.request.Track; {
	case p.user.Name == "" && p.user.ID == "":
		return fmt.Errorf("%w: it names no user: set username, or user_id", errNoPlay)
	case len(p.user.Name) > maxUserText || len(p.user.ID) > maxUserText:
		return fmt.Errorf("%w: the user's name or id has more than %d bytes", errNoPlay, maxUserText)
	case track == nil || track.Name == "":
		return fmt.Errorf("%w: it names no track: set track.name", errNoPlay)
	case p.request.Timestamp <= 0:
		return fmt.Errorf("%w: it says not when it was played: set timestamp, in seconds since 1970", errNoPlay)
	}
	return nil
}

// id is what tells doubles, for a queue of a user.
func (p *play) id(user string) string {
	track := p.request.Track
	key := subjects.PlayKey{
		User: user, Second: p.request.Timestamp,
		Title: either(track.Mbid, track.Name), Album: either(track.AlbumMbid, track.Album),
	}
	for _, artist := range track.Artists {
		key.Artists = append(key.Artists, either(artist.GetMbid(), artist.GetName()))
	}
	return key.ID()
}

func either(mbid, text string) string {
	if mbid != "" {
		return mbid
	}
	return text
}

// encode is the request with what is known of the user.
func (p *play) encode(user User) ([]byte, error) {
	p.request.Username, p.request.UserId = user.Name, user.ID
	return p.request.MarshalVT()
}
