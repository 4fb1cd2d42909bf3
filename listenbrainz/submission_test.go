package listenbrainz_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/listenbrainz"
	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/subjects"
)

var now = time.Unix(1795977473, 0)

// Ids as MusicBrainz has them.
const (
	id1 = "0a7c0e6a-3a7d-4f0b-a1a0-6f1ad8c7a2c0"
	id2 = "5f2c2a52-6f0f-3d31-b0a6-2f3f2f2f1b11"
	id3 = "2944824d-4c26-476f-a981-be849081942f"
	id4 = "3F2F2F2F-4c26-476f-a981-be849081942f"
)

// nested is JSON with so many lists within each other.
func nested(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }

func TestWhatIsNoSubmissionIsRefused(t *testing.T) {
	meta := `"track_metadata":{"artist_name":"a","track_name":"t"}`
	long := strings.Repeat("x", subjects.MaxPlay)
	for _, test := range []struct {
		name, body, want string
	}{
		{"nothing", ``, "the body ends before its JSON does"},
		{"no JSON", `hello`, "the body is no JSON at byte 1: invalid character 'h' looking for beginning of value"},
		{"half of it", `{"listen_type":"single","payload":[{`, "the body ends before its JSON does"},
		{"a list", `[]`, "the body is no object of JSON"},
		{"null", `null`, "the body is no object of JSON"},
		{"an object and more", play(past, "") + "{}", "the body goes on after its object of JSON"},
		{"an object and no JSON", play(past, "") + "x", "the body goes on after its object of JSON"},
		{"no type", `{"payload":[{` + meta + `}]}`, `listen_type is "": send playing_now, single or import`},
		{"another type", `{"listen_type":"` + strings.Repeat("x", 99) + `","payload":[]}`, `listen_type is "` + strings.Repeat("x", 80) + `"…: send playing_now, single or import`},
		{"a type that is no text", `{"listen_type":[1],"payload":[]}`, "listen_type is no text"},
		{"no payload", `{"listen_type":"single"}`, "payload has no listen: send at least one"},
		{"an empty payload", `{"listen_type":"import","payload":[]}`, "payload has no listen: send at least one"},
		{"a payload that is no list", `{"listen_type":"single","payload":{}}`, "payload is no list"},
		{"two singles", `{"listen_type":"single","payload":[` + listen(past, "") + "," + listen(past, "") + `]}`, "payload has 2 listens: single takes one; send import for more"},
		{"two that play now", `{"listen_type":"playing_now","payload":[` + listen(past, "") + "," + listen(past, "") + `]}`, "payload has 2 listens: playing_now takes one; send import for more"},
		{"a listen that is no object", `{"listen_type":"single","payload":["x"]}`, "payload[0] is no object"},
		{"a listen that is null", `{"listen_type":"single","payload":[null]}`, "payload[0].track_metadata.artist_name is missing or empty"},
		{"metadata that is no object", `{"listen_type":"single","payload":[{"track_metadata":1}]}`, "payload[0].track_metadata has a wrong type: number"},
		{"no artist", `{"listen_type":"single","payload":[{"listened_at":1700000000,"track_metadata":{"track_name":"t"}}]}`, "payload[0].track_metadata.artist_name is missing or empty"},
		{"a blank artist", `{"listen_type":"playing_now","payload":[{"track_metadata":{"artist_name":" \t","track_name":"t"}}]}`, "payload[0].track_metadata.artist_name is missing or empty"},
		{"no track", `{"listen_type":"playing_now","payload":[{"track_metadata":{"artist_name":"a"}}]}`, "payload[0].track_metadata.track_name is missing or empty"},
		{"a track that is no text", `{"listen_type":"playing_now","payload":[{"track_metadata":{"artist_name":"a","track_name":["t"]}}]}`, "payload[0].track_metadata.track_name has a wrong type: array"},
		{"an album that is no text", play(past, `,"release_name":7`), "payload[0].track_metadata.release_name has a wrong type: number"},
		{"no time", `{"listen_type":"single","payload":[{` + meta + `}]}`, "payload[0].listened_at is missing: send when it was played, in seconds of Unix time"},
		{"a time that is no number", `{"listen_type":"single","payload":[{"listened_at":"1700000000",` + meta + `}]}`, "payload[0].listened_at has a wrong type: string"},
		{"a time that is no integer", `{"listen_type":"single","payload":[{"listened_at":1700000000.5,` + meta + `}]}`, "payload[0].listened_at has a wrong type: number 1700000000.5"},
		{"a time too long ago", play(listenbrainz.Earliest-1, ""), "payload[0].listened_at is 1033430399: plays before 1033430400 are not taken"},
		{"a time in milliseconds", play(1795977473000, ""), "payload[0].listened_at is 1795977473000, which is in the future: set the clock"},
		{"a time in the future", play(now.Add(listenbrainz.Skew).Unix()+1, ""), "payload[0].listened_at is 1795978074, which is in the future: set the clock"},
		{"the second of an import", imports(listen(past, ""), listen(1, "")), "payload[1].listened_at is 1: plays before 1033430400 are not taken"},
		{"a long listen", play(past, `,"release_name":"`+long+`"`), "payload[0] has more than 65536 bytes"},
		{"a long listen of an import", imports(listen(past, ""), listen(past, `,"other":"`+long+`"`)), "payload[1] has more than 65536 bytes"},
		{"a listen that is long as a message", play(past, `,"release_name":"`+long[:subjects.MaxPlay-1000]+`"`), "payload[0].track_metadata has more than 61440 bytes"},
		{"deep metadata", play(past, `,"additional_info":`+nested(30)), "the body has more than 32 lists and objects within each other"},
		{"deep unknown keys", `{"x":` + nested(100_000) + `}`, "the body has more than 32 lists and objects within each other"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := listenbrainz.Parse([]byte(test.body), now, joe)
			if err == nil || err.Error() != test.want {
				t.Fatalf("got  %v\nwant %s", err, test.want)
			}
			if !listenbrainz.IsMalformed(err) {
				t.Error("the sender is not told to drop it")
			}
		})
	}
}

func TestWhatIsTolerated(t *testing.T) {
	for name, body := range map[string]string{
		"unknown keys":                `{"x":{"y":[1,null,"\"]}"]},` + play(past, `,"z":[{}],"additional_info":{"a":[[1]]}`)[1:],
		"the payload first":           `{"payload":[` + listen(past, "") + `],"listen_type":"single"}`,
		"keys again":                  `{"listen_type":"import","payload":[{}],` + play(past, "")[1:],
		"keys that are null":          play(past, `,"release_name":null,"additional_info":null`),
		"metadata of any other type":  play(past, `,"additional_info":"none"`),
		"brackets in a text":          `{"x":"\"` + strings.Repeat("[", 99) + `",` + play(past, "")[1:],
		"white space":                 "\n " + play(past, "") + "\r\n\t ",
		"the earliest time":           play(listenbrainz.Earliest, ""),
		"a clock that is ahead":       play(now.Add(listenbrainz.Skew).Unix(), ""),
		"depth, as much as there may": play(past, `,"additional_info":`+nested(27)),
	} {
		t.Run(name, func(t *testing.T) {
			kind, plays, err := listenbrainz.Parse([]byte(body), now, joe)
			if err != nil || kind != "single" || len(plays) != 1 || plays[0].Track.Name != "Sinnerman" {
				t.Errorf("%s %v, %v", kind, plays, err)
			}
		})
	}
}

func TestWhatPlaysNowMayHaveAnyTime(t *testing.T) {
	kind, plays, err := listenbrainz.Parse([]byte(strings.Replace(play(1, ""), "single", "playing_now", 1)), now, joe)
	if err != nil || kind != "playing_now" || len(plays) != 1 {
		t.Errorf("%s %v, %v", kind, plays, err)
	}
}

func TestAListenBecomesATrack(t *testing.T) {
	with := func(change func(*api.TrackInfo)) *api.TrackInfo {
		track := &api.TrackInfo{Name: "Sinnerman", Artists: []*api.Artist{{Name: "Nina Simone"}}}
		change(track)
		return track
	}
	plain := with(func(*api.TrackInfo) {})
	many := strings.TrimSuffix(strings.Repeat(`"x",`, 101), ",")
	for _, test := range []struct {
		name, more string
		want       *api.TrackInfo
	}{
		{"what must be there", ``, plain},
		{"what Navidrome sends", `,"release_name":"Pastel Blues","additional_info":{"submission_client":"navidrome","submission_client_version":"0.63.2 (x)",
			"tracknumber":10,"artist_names":["Nina","Simone"],"artist_mbids":["` + id3 + `","` + id4 + `"],"recording_mbid":"` + id1 + `","release_mbid":"` + id2 + `",
			"release_group_mbid":"` + id3 + `","duration_ms":622999}`, &api.TrackInfo{
			Name: "Sinnerman", Mbid: id1, Album: "Pastel Blues", AlbumMbid: id2, ReleaseGroupMbid: id3, TrackNumber: 10, DurationMs: 622999, Length: 622,
			Artists: []*api.Artist{{Name: "Nina", Mbid: id3}, {Name: "Simone", Mbid: id4}},
		}},
		{"numbers as texts", `,"additional_info":{"tracknumber":"3","discnumber":" 2 ","duration_ms":"1500"}`, with(func(track *api.TrackInfo) {
			track.TrackNumber, track.DiscNumber, track.DurationMs, track.Length = 3, 2, 1500, 1
		})},
		{"numbers with a fraction", `,"additional_info":{"tracknumber":3.0,"duration_ms":1999.9}`, with(func(track *api.TrackInfo) {
			track.TrackNumber, track.DurationMs, track.Length = 3, 1999, 1
		})},
		{"a length in seconds", `,"additional_info":{"duration":622}`, with(func(track *api.TrackInfo) { track.Length = 622 })},
		{"a length in both", `,"additional_info":{"duration":7,"duration_ms":5000}`, with(func(track *api.TrackInfo) { track.Length, track.DurationMs = 5, 5000 })},
		{"numbers that are none", `,"additional_info":{"tracknumber":"3/12","discnumber":-1,"tracknumber":[1],"duration_ms":-5,"duration":"NaN"}`, plain},
		{"numbers that are too large", `,"additional_info":{"tracknumber":2147483648,"discnumber":1e400,"duration_ms":1e300,"duration":"Inf"}`, plain},
		{"ids that are none", `,"additional_info":{"recording_mbid":"x","release_mbid":7,"release_group_mbid":"0a7c0e6a+3a7d-4f0b-a1a0-6f1ad8c7a2c0","artist_mbids":["` + strings.Repeat("z", 36) + `"]}`, plain},
		{"an id without names", `,"additional_info":{"artist_mbids":["` + id1 + `"]}`, with(func(track *api.TrackInfo) { track.Artists[0].Mbid = id1 })},
		{"an id that is no list", `,"additional_info":{"artist_mbids":"` + id1 + `"}`, with(func(track *api.TrackInfo) { track.Artists[0].Mbid = id1 })},
		{"ids without names", `,"additional_info":{"artist_mbids":["` + id1 + `","` + id2 + `"]}`, plain},
		{"names without ids", `,"additional_info":{"artist_names":["A","B"]}`, with(func(track *api.TrackInfo) { track.Artists = []*api.Artist{{Name: "A"}, {Name: "B"}} })},
		{"more names than ids", `,"additional_info":{"artist_names":["A","B","C"],"artist_mbids":["` + id1 + `","` + id2 + `"]}`, plain},
		{"more names than are told apart", `,"additional_info":{"artist_names":[` + many + `]}`, plain},
		{"names that are none", `,"additional_info":{"artist_names":[1,2]}`, plain},
		{"what is not UTF-8", ",\"release_name\":\"\xff\\ud800\"", with(func(track *api.TrackInfo) { track.Album = "\ufffd\ufffd" })},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, plays, err := listenbrainz.Parse([]byte(play(past, test.more)), now, joe)
			if err != nil {
				t.Fatal(err)
			}
			if got := plays[0].Track; !reflect.DeepEqual(got, test.want) {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
		})
	}
}

// What is taken is JSON, and plays that fit into the queue, in their order; what is not is to be dropped.
func FuzzSubmission(f *testing.F) {
	f.Add([]byte(playing))
	f.Add([]byte(play(past, `,"release_name":"r","additional_info":{"tracknumber":"3","artist_names":["a","b"],"artist_mbids":["`+id1+`",""],"duration":1.5}`)))
	f.Add([]byte(imports(listen(past+1, ""), listen(past, `,"additional_info":[]`))))
	f.Add([]byte(fmt.Sprintf(`{"x":%s,"payload":[{}],"payload":[],"listen_type":null}`, nested(40))))
	f.Fuzz(func(t *testing.T, body []byte) {
		kind, plays, err := listenbrainz.Parse(bytes.Clone(body), now, joe)
		if err != nil {
			if !listenbrainz.IsMalformed(err) || len(err.Error()) > 1000 {
				t.Errorf("the error is %v", err)
			}
			return
		}
		if !json.Valid(body) {
			t.Error("what is no JSON is taken")
		}
		if len(plays) < 1 || len(plays) > 1000 || kind != "import" && len(plays) > 1 {
			t.Errorf("%s with %d listens", kind, len(plays))
		}
		for _, each := range plays {
			message, err := each.MarshalVT()
			if err != nil || len(message) > subjects.MaxPlay {
				t.Errorf("%d bytes, %v", len(message), err)
			}
			track := each.Track
			if strings.TrimSpace(track.Name) == "" || len(track.Artists) == 0 || track.Length < 0 || track.DurationMs < 0 || track.TrackNumber < 0 || track.DiscNumber < 0 {
				t.Errorf("got %v", each)
			}
			if kind != "playing_now" && (each.Timestamp < listenbrainz.Earliest || each.Timestamp > now.Add(listenbrainz.Skew).Unix()) {
				t.Errorf("played at %d", each.Timestamp)
			}
		}
		if !slices.IsSortedFunc(plays, func(a, b *api.ScrobblerScrobbleRequest) int { return cmp.Compare(a.Timestamp, b.Timestamp) }) {
			t.Error("the plays are not in the order of time")
		}
	})
}
