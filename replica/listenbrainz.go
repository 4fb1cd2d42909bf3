package replica

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pluginhost/pluginhost/bus/scrobble"
	"github.com/pluginhost/pluginhost/config"
	"github.com/pluginhost/pluginhost/internal/door"
	"github.com/pluginhost/pluginhost/internal/httpserver"
	"github.com/pluginhost/pluginhost/listenbrainz"
	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/sdk/tokenstore"
	"github.com/pluginhost/pluginhost/subjects"
)

// playDoor is the listener that takes plays as ListenBrainz does: a client of the bus, like any other.
type playDoor struct {
	doors  *doors
	tokens *tokenstore.Followed
	server *httpserver.Server
}

var (
	_ listenbrainz.Tokens = (*playDoor)(nil)
	_ listenbrainz.Plays  = (*playDoor)(nil)
)

// openPlayDoor listens, if that is not off; nil is that it is. The caller stops it.
func (r *Replica) openPlayDoor(settings *config.Config) (*playDoor, error) {
	if settings.ListenBrainz.Listen == "" {
		return nil, nil
	}
	proxies, err := door.ParseProxies(settings.HTTP.TrustedProxies)
	if err != nil {
		return nil, fmt.Errorf("[HTTP] TrustedProxies: %w", err)
	}
	d := &playDoor{doors: r.doors, tokens: r.tokens}
	d.server, err = listenbrainz.Listen(listenbrainz.Config{
		Address: settings.ListenBrainz.Listen, TrustedProxies: proxies, Tokens: d, Plays: d, Logger: r.log,
	})
	if err != nil {
		return nil, err
	}
	r.log.Info("plays are taken as ListenBrainz does", "address", d.server.Address())
	return d, nil
}

// address is where it listens: host:port, or empty where it is off.
func (d *playDoor) address() string {
	if d == nil {
		return ""
	}
	return d.server.Address()
}

// stop takes no more requests, and waits for those that run until ctx is over.
func (d *playDoor) stop(ctx context.Context) {
	if d == nil {
		return
	}
	_ = d.server.Stop(ctx) // who is cut off sends again
}

// User implements listenbrainz.Tokens.
func (d *playDoor) User(ctx context.Context, secret string) (listenbrainz.Account, error) {
	token, err := d.tokens.Find(ctx, secret)
	switch {
	case errors.Is(err, tokenstore.ErrUnknown), err == nil && (!token.Allows(subjects.ScopeScrobble) || token.User == ""):
		return listenbrainz.Account{}, listenbrainz.ErrUnknownToken
	case err != nil:
		return listenbrainz.Account{}, err
	}
	user := scrobble.User{Name: token.User, ID: token.UserID}
	d.doors.queues.Learn(user)
	user = d.doors.queues.Complete(user)
	return listenbrainz.Account{Name: user.Name, ID: user.ID, Plugin: token.Plugin}, nil
}

// Submit implements listenbrainz.Plays.
func (d *playDoor) Submit(ctx context.Context, plugin string, plays []*api.ScrobblerScrobbleRequest) error {
	for _, play := range plays {
		user := client.User{ID: play.UserId, Name: play.Username}
		if err := d.doors.submit(ctx, plugin, user, play.Track, time.Unix(play.Timestamp, 0)); err != nil {
			return err
		}
	}
	return nil
}

// NowPlaying implements listenbrainz.Plays.
func (d *playDoor) NowPlaying(plugin string, play *api.ScrobblerNowPlayingRequest) {
	user := client.User{ID: play.UserId, Name: play.Username}
	d.doors.nowPlaying(plugin, user, play.Track, time.Unix(play.Timestamp, 0))
}
