package main

import (
	"time"

	"github.com/pluginhost/pluginhost/sdk/api"
)

// event is the body of a request, as README.md documents it.
type event struct {
	Event string `json:"event"` // now_playing or scrobble
	Time  string `json:"time"`  // RFC 3339, UTC
	User  user   `json:"user"`
	Track track  `json:"track"`
}

type user struct {
	ID   string `json:"id"`
	Name string `json:"name"` // can be empty
}

type track struct {
	ID           string   `json:"id"`
	MBID         string   `json:"mbid,omitempty"`
	Title        string   `json:"title"`
	Album        string   `json:"album,omitempty"`
	AlbumMBID    string   `json:"album_mbid,omitempty"`
	Artists      []artist `json:"artists"`
	AlbumArtists []artist `json:"album_artists"`
	Length       int32    `json:"length"`   // seconds
	Position     int32    `json:"position"` // seconds
}

type artist struct {
	Name string `json:"name"`
	MBID string `json:"mbid,omitempty"`
}

// newEvent takes a track that may be nil: what a host sends is not checked
// before it gets here.
func newEvent(name string, who user, what *api.TrackInfo, timestamp int64) event {
	return event{
		Event: name,
		Time:  time.Unix(timestamp, 0).UTC().Format(time.RFC3339),
		User:  who,
		Track: track{
			ID:           what.GetId(),
			MBID:         what.GetMbid(),
			Title:        what.GetName(),
			Album:        what.GetAlbum(),
			AlbumMBID:    what.GetAlbumMbid(),
			Artists:      newArtists(what.GetArtists()),
			AlbumArtists: newArtists(what.GetAlbumArtists()),
			Length:       what.GetLength(),
			Position:     what.GetPosition(),
		},
	}
}

// newArtists never returns nil, so that a receiver always gets a list.
func newArtists(from []*api.Artist) []artist {
	artists := make([]artist, 0, len(from))
	for _, one := range from {
		artists = append(artists, artist{Name: one.GetName(), MBID: one.GetMbid()})
	}
	return artists
}
