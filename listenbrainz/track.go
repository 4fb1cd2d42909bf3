package listenbrainz

import (
	"math"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/subjects"
)

const (
	// maxTrack is how many bytes a track may have as a message: the rest of a play is the user and headers.
	maxTrack = subjects.MaxPlay - 4<<10
	// maxArtists is how many artists of a track are told apart.
	maxArtists = 100
)

// scrobbles are the plays of an account.
func (s *submission) scrobbles(of Account) []*api.ScrobblerScrobbleRequest {
	plays := make([]*api.ScrobblerScrobbleRequest, len(s.listens))
	for i := range s.listens {
		plays[i] = &api.ScrobblerScrobbleRequest{
			UserId: of.ID, Username: of.Name, Track: s.listens[i].track(), Timestamp: s.listens[i].at(),
		}
	}
	return plays
}

// nowPlaying is what an account plays.
func (s *submission) nowPlaying(of Account) *api.ScrobblerNowPlayingRequest {
	return &api.ScrobblerNowPlayingRequest{UserId: of.ID, Username: of.Name, Track: s.listens[0].track(), Timestamp: s.at.Unix()}
}

// track is what was played, as plugins have it.
func (l *listen) track() *api.TrackInfo {
	info := &l.Track.Info
	track := &api.TrackInfo{
		Name:             l.Track.Name,
		Mbid:             string(info.RecordingMBID),
		Album:            l.Track.Release,
		AlbumMbid:        string(info.ReleaseMBID),
		ReleaseGroupMbid: string(info.ReleaseGroupMBID),
		Artists:          l.artists(),
		TrackNumber:      int32(info.TrackNumber.whole(math.MaxInt32)),
		DiscNumber:       int32(info.DiscNumber.whole(math.MaxInt32)),
		Length:           int32(info.Duration.whole(math.MaxInt32)),
	}
	if ms := info.DurationMS.whole(math.MaxInt32 * 1000); ms > 0 {
		track.DurationMs, track.Length = ms, int32(ms/1000)
	}
	return track
}

// artists are those that the sender tells apart, or else the one name that the track has. Ids are left out if nobody can say whose
// they are.
func (l *listen) artists() []*api.Artist {
	names, ids := l.Track.Info.ArtistNames, l.Track.Info.ArtistMBIDs
	if len(names) == 0 || len(names) > maxArtists || len(ids) > 0 && len(ids) != len(names) {
		names = texts{l.Track.Artist}
	}
	artists := make([]*api.Artist, len(names))
	for i, name := range names {
		artists[i] = &api.Artist{Name: name}
		if len(ids) == len(names) {
			artists[i].Mbid = string(newMBID(ids[i]))
		}
	}
	return artists
}
