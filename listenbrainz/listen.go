package listenbrainz

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// listen is an element of a payload.
type listen struct {
	ListenedAt *int64   `json:"listened_at"` // Unix time in seconds; nothing of a playing_now
	Track      metadata `json:"track_metadata"`
}

type metadata struct {
	Artist  string `json:"artist_name"`
	Name    string `json:"track_name"`
	Release string `json:"release_name"`
	Info    info   `json:"additional_info"`
}

// info is what a play may lack. Senders differ in how they write it, and none of it is worth a play: what has a wrong type
// is as if it were not there.
type info struct {
	ArtistNames      texts  `json:"artist_names"`
	ArtistMBIDs      texts  `json:"artist_mbids"`
	RecordingMBID    mbid   `json:"recording_mbid"`
	ReleaseMBID      mbid   `json:"release_mbid"`
	ReleaseGroupMBID mbid   `json:"release_group_mbid"`
	TrackNumber      number `json:"tracknumber"`
	DiscNumber       number `json:"discnumber"`
	DurationMS       number `json:"duration_ms"`
	Duration         number `json:"duration"` // seconds
}

// at is when it was played, 0 if that is now.
func (l *listen) at() int64 {
	if l.ListenedAt == nil {
		return 0
	}
	return *l.ListenedAt
}

// check says what is wrong with a listen, beginning with the name of the field.
func (l *listen) check(kind string, now time.Time) error {
	latest := now.Add(skew).Unix()
	switch {
	case strings.TrimSpace(l.Track.Artist) == "":
		return errors.New("track_metadata.artist_name is missing or empty")
	case strings.TrimSpace(l.Track.Name) == "":
		return errors.New("track_metadata.track_name is missing or empty")
	case l.track().SizeVT() > maxTrack:
		return fmt.Errorf("track_metadata has more than %d bytes", maxTrack)
	case kind == playingNow:
		return nil // ListenBrainz wants no listened_at; a sender that has one means no harm
	case l.ListenedAt == nil:
		return errors.New("listened_at is missing: send when it was played, in seconds of Unix time")
	case *l.ListenedAt < earliest:
		return fmt.Errorf("listened_at is %d: plays before %d are not taken", *l.ListenedAt, earliest)
	case *l.ListenedAt > latest:
		return fmt.Errorf("listened_at is %d, which is in the future: set the clock", *l.ListenedAt)
	}
	return nil
}

// UnmarshalJSON takes anything.
func (i *info) UnmarshalJSON(data []byte) error {
	type plain info
	var found plain
	if json.Unmarshal(data, &found) == nil {
		*i = info(found)
	}
	return nil
}

// texts is a list of texts, or one alone; none if it is anything else.
type texts []string

// UnmarshalJSON takes anything.
func (t *texts) UnmarshalJSON(data []byte) error {
	var found []string
	var alone string
	switch {
	case json.Unmarshal(data, &found) == nil:
		*t = found
	case json.Unmarshal(data, &alone) == nil:
		*t = texts{alone}
	}
	return nil
}

// number is a number, which may be written as a text; 0 is that it is not known.
type number float64

// UnmarshalJSON takes anything.
func (n *number) UnmarshalJSON(data []byte) error {
	var text string
	if json.Unmarshal(data, &text) != nil {
		text = string(data)
	}
	if found, err := strconv.ParseFloat(strings.TrimSpace(text), 64); err == nil {
		*n = number(found)
	}
	return nil
}

// whole is the number without its fraction, 0 if it is negative or larger than most.
func (n number) whole(most int64) int64 {
	if floor := math.Floor(float64(n)); floor > 0 && floor <= float64(most) {
		return int64(floor)
	}
	return 0
}

// mbid is a MusicBrainz id, empty if it is anything else: no service would take the play with it.
type mbid string

// UnmarshalJSON takes anything.
func (m *mbid) UnmarshalJSON(data []byte) error {
	var text string
	if json.Unmarshal(data, &text) == nil {
		*m = newMBID(text)
	}
	return nil
}

// newMBID is a text if it is a UUID, as MusicBrainz writes them.
func newMBID(text string) mbid {
	if len(text) != len("00000000-0000-0000-0000-000000000000") {
		return ""
	}
	for i, c := range []byte(text) {
		switch dash := i == 8 || i == 13 || i == 18 || i == 23; {
		case dash && c == '-':
		case !dash && (c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'):
		default:
			return ""
		}
	}
	return mbid(text)
}
