package replica

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
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

const (
	// maxPlaying is how many plugins are told at once what somebody has started to play; more is dropped.
	maxPlaying = 64
	// playingTimeout is after how long that is dropped.
	playingTimeout = 5 * time.Second
)

// playDoor is the listener that takes plays as ListenBrainz does: a client of the bus, like any other.
type playDoor struct {
	log    *slog.Logger
	tokens *tokenstore.Followed
	queues *scrobble.Queues
	// plays submits over the connection of JetStream, and plugins calls over that of doors.
	plays, plugins *client.Client
	server         *httpserver.Server

	playing chan struct{} // a token for each plugin that is being told
	running context.Context
	cutOff  context.CancelFunc
	telling sync.WaitGroup
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
	d := &playDoor{
		log: r.log, tokens: r.tokens, queues: r.scrobbles.queues,
		plays: client.New(r.bus.JetStreamConn()), plugins: client.New(r.bus.DoorsConn(), client.WithResends(0)),
		playing: make(chan struct{}, maxPlaying),
	}
	d.running, d.cutOff = context.WithCancel(context.Background())
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
	d.cutOff()
	d.telling.Wait()
}

// User implements listenbrainz.Tokens.
func (d *playDoor) User(ctx context.Context, secret string) (listenbrainz.Account, error) {
	token, err := d.tokens.Find(ctx, secret)
	switch {
	case errors.Is(err, tokenstore.ErrUnknown), err == nil && !token.Allows(subjects.ScopeScrobble):
		return listenbrainz.Account{}, listenbrainz.ErrUnknownToken
	case err != nil:
		return listenbrainz.Account{}, err
	}
	user := scrobble.User{Name: token.User, ID: token.UserID}
	d.queues.Learn(user)
	user = d.queues.Complete(user)
	return listenbrainz.Account{Name: user.Name, ID: user.ID, Plugin: token.Plugin}, nil
}

// Submit implements listenbrainz.Plays.
func (d *playDoor) Submit(ctx context.Context, plugin string, plays []*api.ScrobblerScrobbleRequest) error {
	for _, play := range plays {
		user := client.User{ID: play.UserId, Name: play.Username}
		if err := d.plays.Scrobbles().To(plugin).Submit(ctx, user, play.Track, time.Unix(play.Timestamp, 0)); err != nil {
			return err
		}
	}
	return nil
}

// NowPlaying implements listenbrainz.Plays.
func (d *playDoor) NowPlaying(plugin string, play *api.ScrobblerNowPlayingRequest) {
	ids := []string{plugin}
	if plugin == "" {
		ids = d.queues.Installed()
	}
	for _, id := range ids {
		select {
		case d.playing <- struct{}{}:
		default:
			d.log.Debug("what a user plays was not told: too many are being told", "plugin", id)
			continue
		}
		d.telling.Go(func() {
			defer func() { <-d.playing }()
			d.tell(id, play)
		})
	}
}

// tell tells one plugin what a user plays, if it is authorised for that one. Nobody needs to know what comes of it.
func (d *playDoor) tell(id string, play *api.ScrobblerNowPlayingRequest) {
	ctx, cancel := context.WithTimeout(d.running, playingTimeout)
	defer cancel()
	user := client.User{ID: play.UserId, Name: play.Username}
	to := d.plugins.Scrobbler(id)
	authorized, err := to.IsAuthorized(ctx, user)
	if err == nil && authorized {
		err = to.NowPlaying(ctx, user, play.Track, time.Unix(play.Timestamp, 0))
	}
	if err != nil {
		d.log.Debug("a plugin was not told what a user plays", "plugin", id, "error", cut(err.Error(), maxErrorText))
	}
}
