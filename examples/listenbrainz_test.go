package examples_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/pluginhost/pluginhost/plugintest"
	"github.com/pluginhost/pluginhost/sdk/api"
)

// The plugin, with its own manifest, in the real runtime: only ListenBrainz is made up.
func TestListenBrainzThroughAHost(t *testing.T) {
	t.Parallel()
	host := plugintest.Load(t, "listenbrainz")
	host.SetConfig("token_Joe", "joes-secret")
	host.SetConfig("token_ann", "stale-secret")
	host.HTTP("https://api.listenbrainz.org", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var sent struct {
			Payload []struct {
				Track struct {
					Artist string `json:"artist_name"`
				} `json:"track_metadata"`
			}
		}
		switch err := json.NewDecoder(r.Body).Decode(&sent); {
		case r.Header.Get("Authorization") != "Token joes-secret":
			w.WriteHeader(http.StatusUnauthorized)
		case err != nil, len(sent.Payload) != 1, sent.Payload[0].Track.Artist == "":
			w.WriteHeader(http.StatusBadRequest)
		case sent.Payload[0].Track.Artist == "Busy":
			w.WriteHeader(http.StatusTooManyRequests)
		default:
			_, _ = io.WriteString(w, `{"status":"ok"}`)
		}
	}))
	scrobbler := host.Scrobbler()
	for user, want := range map[string]bool{"joe": true, "JOE": true, "ann": true, "bob": false} {
		answer, err := scrobbler.IsAuthorized(t.Context(), &api.ScrobblerIsAuthorizedRequest{Username: user})
		if err != nil || answer.Authorized != want {
			t.Errorf("%s: got %v, %v", user, answer, err)
		}
	}
	if _, err := scrobbler.NowPlaying(t.Context(), &api.ScrobblerNowPlayingRequest{Username: "joe", Track: &api.TrackInfo{Name: "t", Artists: []*api.Artist{{Name: "a"}}}}); err != nil {
		t.Error(err)
	}
	for _, test := range []struct{ name, user, artist, want string }{
		{"a play", "JOE", "Nina Simone", ""},
		{"a wrong token", "ann", "Nina Simone", "not authorized"},
		{"no token", "bob", "Nina Simone", "not authorized"},
		{"too many requests", "joe", "Busy", "retry later"},
		{"a play that ListenBrainz never takes", "joe", "", "unrecoverable"},
	} {
		t.Run(test.name, func(t *testing.T) {
			track := &api.TrackInfo{Name: "Sinnerman", TrackNumber: 9, DurationMs: 622999, Artists: []*api.Artist{{Name: test.artist}}}
			_, err := scrobbler.Scrobble(t.Context(), &api.ScrobblerScrobbleRequest{Username: test.user, Track: track, Timestamp: 1700000000})
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.HasSuffix(err.Error(), " "+test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	if body := string(host.Requests()[1].Body); !strings.Contains(body, `"tracknumber":9,"duration_ms":622999`) || !strings.Contains(body, `"listened_at":1700000000`) {
		t.Errorf("sent %s", body)
	}
	if strings.Contains(host.Output(), "secret") {
		t.Errorf("a token is in the log: %s", host.Output())
	}
}
