package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/api/host/cache"
)

const (
	// unknownSeconds is how long a track is shown whose length nobody knows, and
	// maxSeconds how long any is.
	unknownSeconds = 10 * 60
	maxSeconds     = 24 * 60 * 60
	// keptSeconds is how long a track is remembered after its end: longer than its
	// schedule may be late.
	keptSeconds = 5 * 60
)

// track is what plays, as it is kept in the cache.
type track struct {
	Title  string `json:"title"`
	Artist string `json:"artist,omitempty"`
	Album  string `json:"album,omitempty"`
	Starts int64  `json:"starts"` // Unix seconds
	Ends   int64  `json:"ends"`
}

func newTrack(info *api.TrackInfo, now time.Time) *track {
	left := int64(unknownSeconds)
	if info.GetLength() > 0 {
		left = min(max(int64(info.GetLength())-int64(info.GetPosition()), 0), maxSeconds)
	}
	t := &track{Title: info.GetName(), Album: info.GetAlbum(), Starts: now.Unix() - int64(info.GetPosition()), Ends: now.Unix() + left}
	if artists := info.GetArtists(); len(artists) > 0 {
		t.Artist = artists[0].GetName()
	}
	return t
}

func trackKey(account string) string { return "track:" + account }

func (p *presence) keepTrack(ctx context.Context, account string, what *track, now time.Time) error {
	body, err := json.Marshal(what)
	if err != nil {
		return fmt.Errorf("encode the track: %w", err)
	}
	kept, err := p.cache.SetBytes(ctx, &cache.SetBytesRequest{Key: trackKey(account), Value: body, TtlSeconds: what.Ends - now.Unix() + keptSeconds})
	if err != nil {
		return fmt.Errorf("keep the track: %w", err)
	}
	if !kept.Success {
		return fmt.Errorf("the track of %s could not be kept: the host's log says why", account)
	}
	return nil
}

// track returns what an account plays, nil for nothing.
func (p *presence) track(ctx context.Context, account string) (*track, error) {
	kept, err := p.cache.GetBytes(ctx, &cache.GetRequest{Key: trackKey(account)})
	if err != nil {
		return nil, fmt.Errorf("read the track: %w", err)
	}
	if !kept.Exists {
		return nil, nil
	}
	found := new(track)
	if err := json.Unmarshal(kept.Value, found); err != nil {
		return nil, fmt.Errorf("read the track: %w", err)
	}
	return found, nil
}
