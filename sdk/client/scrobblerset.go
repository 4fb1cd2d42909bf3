package client

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/subjects"
)

const (
	// maxPlaying is how many plugins are told at once what somebody has started to play; more is dropped.
	maxPlaying = 64
	// playingTimeout is after how long that is dropped.
	playingTimeout = 5 * time.Second
)

// ScrobblerSet is all plugins with Scrobbler, as a music server has them: each is told what is played. It is safe for concurrent
// use. Who has one stops it.
type ScrobblerSet struct {
	client  *Client
	plugins PluginLister

	places  chan struct{} // one is taken for each plugin that is being told
	running context.Context
	stop    context.CancelFunc
	telling sync.WaitGroup

	mu      sync.Mutex
	stopped bool // nobody is told any more
}

// ScrobblerSet returns the set of the plugins that a lister knows.
func (c *Client) ScrobblerSet(plugins PluginLister) *ScrobblerSet {
	s := &ScrobblerSet{client: c, plugins: plugins, places: make(chan struct{}, maxPlaying)}
	s.running, s.stop = context.WithCancel(context.Background())
	return s
}

// Stop breaks off what is being told of what is played, and waits for its end. What NowPlaying is given afterwards is dropped.
func (s *ScrobblerSet) Stop() {
	s.mu.Lock()
	s.stopped = true
	s.mu.Unlock()
	s.stop()
	s.telling.Wait()
}

// IsAuthorized asks whether any of the plugins scrobbles for user. Whoever asks before each play, as Navidrome does, and drops it at
// a no, had better not ask: Submit keeps a play for a user whom plugins do not know yet. The error is that of the first plugin that
// could not be asked, if no other one says yes.
func (s *ScrobblerSet) IsAuthorized(ctx context.Context, user User) (bool, error) {
	var failed error
	for _, id := range s.scrobblers() {
		authorized, err := s.client.Scrobbler(id).IsAuthorized(ctx, user)
		if authorized && err == nil {
			return true, nil
		}
		if err != nil && failed == nil && !errors.Is(err, api.ErrNotImplemented) {
			failed = err
		}
	}
	return false, failed
}

// Submit is [Scrobbles.Submit] for all plugins.
func (s *ScrobblerSet) Submit(ctx context.Context, user User, track *api.TrackInfo, at time.Time) error {
	return s.client.Scrobbles().Submit(ctx, user, track, at)
}

// NowPlaying tells the plugins that are authorised for user what the user has started to play, at a second's precision. It does not
// wait for them, and nobody hears of failures: what somebody plays is soon something else. Each plugin has 5 seconds,
// and 64 are told at once.
func (s *ScrobblerSet) NowPlaying(user User, track *api.TrackInfo, at time.Time) {
	for _, id := range s.scrobblers() {
		s.NowPlayingTo(id, user, track, at)
	}
}

// NowPlayingTo is NowPlaying for one plugin alone.
func (s *ScrobblerSet) NowPlayingTo(id string, user User, track *api.TrackInfo, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return
	}
	select {
	case s.places <- struct{}{}:
	default:
		return
	}
	s.telling.Go(func() {
		defer func() { <-s.places }()
		ctx, cancel := context.WithTimeout(s.running, playingTimeout)
		defer cancel()
		to := s.client.Scrobbler(id)
		if authorized, err := to.IsAuthorized(ctx, user); err == nil && authorized {
			_ = to.NowPlaying(ctx, user, track, at)
		}
	})
}

// scrobblers are the ids of the plugins that can be told.
func (s *ScrobblerSet) scrobblers() []string {
	var ids []string
	for _, p := range s.plugins.Listed() {
		if p.State == subjects.StateReady && slices.Contains(p.Capabilities, "Scrobbler") {
			ids = append(ids, p.ID)
		}
	}
	return ids
}
