package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/api/host/cache"
	"github.com/pluginhost/pluginhost/sdk/api/host/config"
	"github.com/pluginhost/pluginhost/sdk/api/host/scheduler"
	"github.com/pluginhost/pluginhost/sdk/api/host/websocket"
)

// graceSeconds is how long a presence outlasts its track, so that it does not
// flicker before the next one.
const graceSeconds = 5

// presence keeps nothing in memory between calls. Each account has one connection,
// one schedule of each kind and one set of cached values, all under its name: any
// replica goes on where another stopped.
type presence struct {
	config  config.ConfigService
	cache   cache.CacheService
	sockets websocket.WebSocketService
	log     io.Writer

	// One service for each named callback.
	heartbeats, endings, reconnects scheduler.SchedulerService
}

// IsAuthorized is true for users who have a token.
func (p *presence) IsAuthorized(ctx context.Context, request *api.ScrobblerIsAuthorizedRequest) (*api.ScrobblerIsAuthorizedResponse, error) {
	settings, err := p.settings(ctx)
	if err != nil {
		return nil, err
	}
	_, authorized := settings.account(request.UserId, request.Username)
	return &api.ScrobblerIsAuthorizedResponse{Authorized: authorized}, nil
}

// NowPlaying shows the track, until it has ended.
func (p *presence) NowPlaying(ctx context.Context, request *api.ScrobblerNowPlayingRequest) (*api.ScrobblerNowPlayingResponse, error) {
	settings, err := p.settings(ctx)
	if err != nil {
		return nil, err
	}
	account, authorized := settings.account(request.UserId, request.Username)
	if !authorized {
		return &api.ScrobblerNowPlayingResponse{}, nil
	}
	now := time.Now()
	track := newTrack(request.Track, now)
	if err := p.keepTrack(ctx, account, track, now); err != nil {
		return nil, err
	}
	// It takes the place of the schedule that the last track had under this id.
	_, err = p.endings.ScheduleOneTime(ctx, &scheduler.ScheduleOneTimeRequest{
		ScheduleId: account, DelaySeconds: int32(track.Ends-now.Unix()) + graceSeconds,
	})
	if err != nil {
		return nil, fmt.Errorf("schedule the end of the presence: %w", err)
	}
	return &api.ScrobblerNowPlayingResponse{}, p.show(ctx, settings, account, track)
}

// Scrobble does nothing: a presence is about what plays now.
func (p *presence) Scrobble(context.Context, *api.ScrobblerScrobbleRequest) (*api.ScrobblerScrobbleResponse, error) {
	return &api.ScrobblerScrobbleResponse{}, nil
}

// show updates the presence of an account that is connected, and connects one that
// is not: then the track is shown when the gateway is ready.
func (p *presence) show(ctx context.Context, settings settings, account string, track *track) error {
	state, err := p.session(ctx, account)
	switch {
	case err != nil:
		return err
	case state == connecting:
		return nil
	case state == ready:
		if err := p.send(ctx, account, opPresence, newStatus(track)); !errors.Is(err, errNoConnection) {
			return err
		}
	}
	return p.connect(ctx, settings, account)
}

// clear is called when a track should have ended. It ends the presence and the
// connection. Like every callback it may run twice.
func (p *presence) clear(ctx context.Context, request *api.SchedulerCallbackRequest) error {
	account := request.ScheduleId
	track, err := p.track(ctx, account)
	if err != nil {
		return err
	}
	if track != nil && time.Now().Unix() < track.Ends {
		return nil // the next one began while this was on its way
	}
	// First of all: OnClose connects again while there is a track.
	if _, err := p.cache.Remove(ctx, &cache.RemoveRequest{Key: trackKey(account)}); err != nil {
		return fmt.Errorf("forget the track: %w", err)
	}
	state, err := p.session(ctx, account)
	if err == nil && state == ready {
		err = p.send(ctx, account, opPresence, newStatus(nil))
	}
	if err != nil && !errors.Is(err, errNoConnection) {
		// The host does not repeat a callback that fails, but it may plan itself anew.
		settings, unknown := p.settings(ctx)
		if unknown != nil {
			return unknown
		}
		_, failed := p.endings.ScheduleOneTime(ctx, &scheduler.ScheduleOneTimeRequest{ScheduleId: account, DelaySeconds: settings.reconnectSeconds})
		return errors.Join(err, failed)
	}
	return p.close(ctx, account, closeNormal, "nothing plays")
}

// logf writes a line to the host's log.
func (p *presence) logf(format string, args ...any) {
	_, _ = fmt.Fprintf(p.log, format+"\n", args...)
}
