package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/api/host/artwork"
	"github.com/pluginhost/pluginhost/sdk/api/host/cache"
	"github.com/pluginhost/pluginhost/sdk/api/host/subsonicapi"
)

const (
	// songSeconds is how long an answer about a song is kept.
	songSeconds = 6 * 60 * 60
	coverSize   = 300 // pixels
	// localPrefix begins the addresses that nobody else can reach.
	localPrefix = "http://localhost"
)

// song is what the Subsonic API tells about a song, as far as a card shows it.
type song struct {
	Title     string `json:"title"`
	Artist    string `json:"artist"`
	Album     string `json:"album"`
	AlbumID   string `json:"albumId"`
	Year      int    `json:"year"`
	PlayCount int    `json:"playCount"`
}

// album tells albums apart.
func (s song) album() string {
	if s.AlbumID != "" {
		return s.AlbumID
	}
	return s.Artist + "\n" + s.Album
}

// song returns what there is to know about a track. What Navidrome does not tell
// is left out: a plain card is better than none.
func (s scrobbler) song(ctx context.Context, username string, track *api.TrackInfo) song {
	known := song{Title: track.GetName(), Album: track.GetAlbum()}
	if artists := track.GetArtists(); len(artists) > 0 {
		known.Artist = artists[0].GetName()
	}
	if username == "" || track.GetId() == "" {
		return known // Navidrome 0.59.0 leaves the name out
	}
	key := "song:" + username + ":" + track.GetId()
	if kept, err := s.cache.GetBytes(ctx, &cache.GetRequest{Key: key}); err == nil && kept.Exists {
		if asked, err := parseSong(kept.Value); err == nil {
			return asked
		}
	}
	query := url.Values{"u": {username}, "id": {track.GetId()}}
	answer, err := s.subsonic.Call(ctx, &subsonicapi.CallRequest{Url: "/rest/getSong?" + query.Encode()})
	if err != nil {
		s.logf("getSong: %v", err)
		return known
	}
	if answer.Error != "" {
		s.logf("getSong: %s", answer.Error)
		return known
	}
	asked, err := parseSong([]byte(answer.Json))
	if err != nil {
		s.logf("getSong: %v", err)
		return known
	}
	if kept, err := s.cache.SetBytes(ctx, &cache.SetBytesRequest{Key: key, Value: []byte(answer.Json), TtlSeconds: songSeconds}); err != nil || !kept.Success {
		s.logf("the answer about %s could not be kept", track.GetId())
	}
	return asked
}

// parseSong reads an answer of getSong.
func parseSong(body []byte) (song, error) {
	var answer struct {
		Response struct {
			Status string `json:"status"`
			Error  struct {
				Message string `json:"message"`
			} `json:"error"`
			Song song `json:"song"`
		} `json:"subsonic-response"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return song{}, err
	}
	if answer.Response.Status != "ok" {
		return song{}, fmt.Errorf("status %q: %s", answer.Response.Status, answer.Response.Error.Message)
	}
	return answer.Response.Song, nil
}

// cover returns an address of the album's cover that others can reach, or
// nothing.
func (s scrobbler) cover(ctx context.Context, of song) string {
	if of.AlbumID == "" {
		return ""
	}
	answer, err := s.artwork.GetAlbumUrl(ctx, &artwork.GetArtworkUrlRequest{Id: of.AlbumID, Size: coverSize})
	if err != nil || strings.HasPrefix(answer.Url, localPrefix) {
		return ""
	}
	return answer.Url
}
