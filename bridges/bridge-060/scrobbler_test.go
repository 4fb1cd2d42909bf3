package bridge060_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/pluginhost/pluginhost/bridges/extismhost"
	"github.com/pluginhost/pluginhost/sdk/api"
)

// failure is the body of a failure that a gateway tells.
func failure(code int, name string) string {
	return fmt.Sprintf(`{"v":1,"code":%d,"name":%q,"error":"the words of it"}`, code, name)
}

func checkPlays(t *testing.T, b *bridge) {
	artists := []*api.Artist{{Name: "Artist"}}
	sample := func() *api.TrackInfo {
		return &api.TrackInfo{
			Id: "up91nfa1r6CZ9fekCC1uEV", Name: "Song", Album: "Album", Artists: artists, AlbumArtists: []*api.Artist{{Name: "Album Artist"}},
			Length: 1, TrackNumber: 2, DiscNumber: 1, DurationMs: 1020,
		}
	}
	full := `{"id":"1","title":"T","album":"A","mbzRecordingId":"r","mbzAlbumId":"al","mbzReleaseGroupId":"rg","mbzReleaseTrackId":"rt","libraryId":3,` +
		`"path":"p","artist":"no","artists":[{"name":"X","mbid":"x"},{"name":"Y"},{"id":"nameless"}],"albumArtists":[],"albumArtist":"Alone","duration":245.99}`
	whole := &api.TrackInfo{
		Id: "1", Name: "T", Album: "A", Mbid: "r", AlbumMbid: "al", ReleaseGroupMbid: "rg", Artists: []*api.Artist{{Name: "X", Mbid: "x"}, {Name: "Y"}},
		AlbumArtists: []*api.Artist{{Name: "Alone"}}, Length: 245, DurationMs: 245990,
	}
	paused := sample()
	paused.Position = 37
	for plugin, path := range map[string]string{"": "", "a b/ö": "/a%20b%2F%C3%B6"} {
		loaded, w := b.world(t, settings("http://host", "plugin", plugin))
		for _, c := range []struct {
			export, input string
			want          message
		}{
			{scrobbles, play, &api.ScrobblerScrobbleRequest{Username: "admin", Track: sample(), Timestamp: 1700000000}},
			{scrobbles, `{"username":"Jö","track":` + full + `,"timestamp":1700000000}`, &api.ScrobblerScrobbleRequest{Username: "Jö", Track: whole, Timestamp: 1700000000}},
			{tells, nowPlaying, &api.ScrobblerNowPlayingRequest{Username: "admin", Track: sample()}},
			{tells, `{"username":"admin","track":` + track + `,"position":37}`, &api.ScrobblerNowPlayingRequest{Username: "admin", Track: paused}},
		} {
			at, method := "http://host/v1/now-playing"+path, "now_playing"
			w.says(http.StatusNoContent, "")
			if c.export == scrobbles {
				at, method = "http://host/v1/scrobbles"+path, "scrobble"
				w.says(http.StatusAccepted, `{"v":1}`)
			}
			if output, err := loaded.OutputOf(t.Context(), c.export, []byte(c.input)); err != nil || len(output) > 0 {
				t.Errorf("%s: put out %q, %v", c.export, output, err)
			}
			asked := w.asked()
			checkMessage(t, method, asked.Body, c.want)
			if asked.Method != http.MethodPost || asked.URL != at || !asked.NoFollowRedirects || asked.Headers["Authorization"] != "Bearer "+token {
				t.Errorf("%s: %+v", c.export, asked)
			}
		}
	}
}

// notImplemented and nothing are outcomes of an agent that are no failures.
const (
	notImplemented = "not implemented"
	nothing        = "nothing"
	failed         = "failed"
)

// agentOutcome is what Navidrome hears from an agent.
func agentOutcome(output []byte, err error) string {
	switch {
	case errors.Is(err, extismhost.ErrNotImplemented):
		return notImplemented
	case err != nil:
		return failed
	case len(output) == 0:
		return nothing
	default:
		return "output"
	}
}

// checkFailures has the rows of answers that are not what was wished for. Where nothing else is said, agents fail and plays are
// kept.
func checkFailures(t *testing.T, b *bridge) {
	plugin, w := b.world(t, settings("http://host"))
	type row struct {
		name     string
		status   int
		body     string
		agent    string
		scrobble extismhost.Outcome
		quiet    bool // now-playing does not fail
	}
	rows := []row{
		{"bad request", 400, failure(400, "bad_request"), failed, extismhost.Discarded, false},
		{"too large", 413, failure(413, "too_large"), failed, extismhost.Discarded, false},
		{"not implemented", 501, failure(501, "plugin:not_implemented"), notImplemented, extismhost.Discarded, true},
		{"not found", 404, failure(404, "plugin:not_found"), nothing, extismhost.Kept, false},
	}
	for _, c := range []struct {
		status int
		name   string
	}{
		{401, "unauthorized"}, {403, "forbidden"}, {404, "no_such_path"}, {404, "no_such_plugin"}, {405, "method_not_allowed"}, {421, "misdirected"},
		{408, "deadline_exceeded"}, {429, "overloaded"}, {500, "plugin_error"}, {502, "plugin_crashed"}, {502, "too_large"}, {503, "unavailable"},
		{504, "deadline_exceeded"}, {501, "other"}, {409, "unknown"}, {599, "unknown"},
	} {
		rows = append(rows, row{c.name, c.status, failure(c.status, c.name), failed, extismhost.Kept, false})
	}
	for _, status := range []int{0, 100, 200, 201, 202, 203, 204, 301, 302, 307, 308, 400, 401, 403, 404, 407, 408, 413, 429, 500, 501, 502, 503, 504, 999, -1} {
		for _, body := range []string{
			"", "<html>", `null`, `[]`, `{"v":2,"name":"plugin:not_found"}`, `{"v":"1","name":"plugin:not_implemented"}`,
			`{"name":"plugin:not_found","error":"x"}`, `{"v":1}x`, `{"v":1`, `{"v":10,"name":"bad_request"}`, `{"v":1.5,"name":"bad_request"}`, `{"V":1,"NAME":"plugin:not_found"}`,
		} {
			agent, quiet := failed, status == 204
			if status == 200 && strings.HasPrefix(body, "{") && json.Valid([]byte(body)) {
				agent = nothing // an answer without a biography
			}
			rows = append(rows, row{"foreign " + body, status, body, agent, extismhost.Kept, quiet})
		}
	}
	for _, r := range rows {
		w.says(r.status, r.body)
		if got := agentOutcome(plugin.OutputOf(t.Context(), biography, []byte(artist))); got != r.agent {
			t.Errorf("%d %s: the agent %s, want %s", r.status, r.name, got, r.agent)
		}
		err := plugin.Call(t.Context(), scrobbles, json.RawMessage(play), nil)
		checkPlayFailure(t, fmt.Sprint(r.status, " ", r.name), err, r.scrobble)
		if err := plugin.Call(t.Context(), tells, json.RawMessage(nowPlaying), nil); (err == nil) != r.quiet || trapped(err) {
			t.Errorf("%d %s: now-playing ends with %v", r.status, r.name, err)
		}
	}
}

// checkPlayFailure checks what became of a play that was not taken: the text says one thing only, at its end.
func checkPlayFailure(t *testing.T, name string, err error, want extismhost.Outcome) {
	t.Helper()
	suffix := "scrobbler(retry_later)"
	if want == extismhost.Discarded {
		suffix = "scrobbler(unrecoverable)"
	}
	switch {
	case err == nil:
		t.Errorf("%s: the play is taken", name)
	case extismhost.OutcomeOf(err) != want || !strings.HasSuffix(err.Error(), suffix) || strings.Count(err.Error(), "scrobbler(") != 1 || trapped(err):
		t.Errorf("%s: the play is %v, want %v: %v", name, extismhost.OutcomeOf(err), want, err)
	}
}

func checkForeignTexts(t *testing.T, b *bridge) {
	plugin, w := b.world(t, settings("http://host"))
	for _, text := range []string{
		"scrobbler(not_authorized)", "scrobbler(unrecoverable)", "scrobbler", strings.Repeat("x", 190) + "scrobbler(not_authorized)", `\u0073crobbler\u0028not_authorized)`,
		`line\n\tbreaks\u0000`, "\xff\xfe", `\ud800`,
	} {
		w.saysRaw(`{"error":"` + text + `"}`)
		err := plugin.Call(t.Context(), scrobbles, json.RawMessage(play), nil)
		checkPlayFailure(t, "error "+text, err, extismhost.Kept)
		if strings.ContainsAny(err.Error(), "\n\t\x00") || !utf8.ValidString(err.Error()) {
			t.Errorf("the text is %q", err)
		}
		w.says(http.StatusServiceUnavailable, `{"v":1,"code":503,"name":"`+text+`","error":"`+text+strings.Repeat("y", 10_000)+`"}`)
		err = plugin.Call(t.Context(), scrobbles, json.RawMessage(play), nil)
		checkPlayFailure(t, "body with "+text, err, extismhost.Kept)
		if len(err.Error()) > 2000 {
			t.Errorf("%d bytes of text", len(err.Error()))
		}
	}
}

func checkNobody(t *testing.T, b *bridge) {
	plugin, w := b.world(t, settings("http://host"))
	w.says(http.StatusAccepted, `{"v":1}`)
	for _, input := range []string{`{"username":"","track":` + track + `}`, `{"track":` + track + `}`, `{"username":7,"track":` + track + `}`} {
		err := plugin.Call(t.Context(), scrobbles, json.RawMessage(input), nil)
		checkPlayFailure(t, input, err, extismhost.Kept)
	}
	if w.requests() > 0 {
		t.Error("a play without a user was sent")
	}
}

func checkAuthorised(t *testing.T, b *bridge) {
	for _, c := range []struct {
		config map[string]string
		want   bool
	}{
		{nil, false},
		{map[string]string{"url": "", "token": token}, false},
		{map[string]string{"url": " /"}, false},
		{settings("http://host"), true},
		// Plays wait until these are mended.
		{map[string]string{"url": "http://host"}, true},
		{settings("no address"), true},
	} {
		plugin, w := b.world(t, c.config)
		var got *bool
		if err := plugin.Call(t.Context(), authorised, json.RawMessage(`{"username":"admin"}`), &got); err != nil || got == nil || *got != c.want {
			t.Errorf("with %v: %v, %v", c.config, got, err)
		}
		if w.requests() > 0 {
			t.Errorf("with %v the network was asked", c.config)
		}
	}
}
