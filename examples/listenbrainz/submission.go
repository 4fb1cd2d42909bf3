package main

import (
	"strings"

	"github.com/pluginhost/pluginhost/sdk/api"
)

// What a submission is.
const (
	playingNow = "playing_now"
	single     = "single"
)

// submission is the body of a request.
type submission struct {
	Type    string   `json:"listen_type"`
	Payload []listen `json:"payload"`
}

type listen struct {
	ListenedAt int64    `json:"listened_at,omitempty"` // Unix time in seconds; none of what plays now
	Track      metadata `json:"track_metadata"`
}

type metadata struct {
	Artist  string `json:"artist_name"`
	Name    string `json:"track_name"`
	Release string `json:"release_name,omitempty"`
	Info    info   `json:"additional_info"`
}

type info struct {
	Client           string   `json:"submission_client"`
	ClientVersion    string   `json:"submission_client_version"`
	ArtistNames      []string `json:"artist_names,omitempty"`
	ArtistMBIDs      []string `json:"artist_mbids,omitempty"`
	RecordingMBID    string   `json:"recording_mbid,omitempty"`
	ReleaseMBID      string   `json:"release_mbid,omitempty"`
	ReleaseGroupMBID string   `json:"release_group_mbid,omitempty"`
	TrackNumber      int32    `json:"tracknumber,omitempty"`
	DiscNumber       int32    `json:"discnumber,omitempty"`
	DurationMS       int64    `json:"duration_ms,omitempty"`
	Duration         int32    `json:"duration,omitempty"` // seconds, where nobody knows it as exactly
}

// newSubmission takes a track that may be nil: what a host sends is not checked before it gets here.
func newSubmission(kind string, track *api.TrackInfo, listenedAt int64) submission {
	names, ids := artists(track)
	about := info{
		Client:           client,
		ClientVersion:    version,
		ArtistNames:      names,
		ArtistMBIDs:      ids,
		RecordingMBID:    mbid(track.GetMbid()),
		ReleaseMBID:      mbid(track.GetAlbumMbid()),
		ReleaseGroupMBID: mbid(track.GetReleaseGroupMbid()),
		TrackNumber:      max(0, track.GetTrackNumber()),
		DiscNumber:       max(0, track.GetDiscNumber()),
	}
	if ms := track.GetDurationMs(); ms > 0 {
		about.DurationMS = ms
	} else {
		about.Duration = max(0, track.GetLength())
	}
	return submission{Type: kind, Payload: []listen{{
		ListenedAt: listenedAt,
		Track:      metadata{Artist: strings.Join(names, ", "), Name: track.GetName(), Release: track.GetAlbum(), Info: about},
	}}}
}

// artists returns the names of a track's artists and, if all of them are known, their ids.
func artists(track *api.TrackInfo) (names, ids []string) {
	for _, artist := range track.GetArtists() {
		if artist.GetName() == "" {
			continue
		}
		names = append(names, artist.GetName())
		if id := mbid(artist.GetMbid()); id != "" {
			ids = append(ids, id)
		}
	}
	if len(ids) != len(names) {
		ids = nil
	}
	return names, ids
}

// mbid returns a MusicBrainz id, empty if it is anything else: ListenBrainz would refuse the whole play.
func mbid(id string) string {
	parts := strings.Split(id, "-")
	if len(id) != 36 || len(parts) != 5 || len(parts[0]) != 8 || len(parts[1]) != 4 || len(parts[2]) != 4 || len(parts[3]) != 4 {
		return ""
	}
	if strings.Trim(id, "-0123456789abcdefABCDEF") != "" {
		return ""
	}
	return id
}
