package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/api/host/config"
	"github.com/pluginhost/pluginhost/sdk/api/host/http"
)

// receiver gives one answer to everything and keeps the last request.
type receiver struct {
	answer *http.HttpResponse
	last   *http.HttpRequest
}

func (r *receiver) Post(_ context.Context, request *http.HttpRequest) (*http.HttpResponse, error) {
	r.last = request
	return r.answer, nil
}

type entries map[string]string

func (e entries) GetPluginConfig(context.Context, *config.GetPluginConfigRequest) (*config.GetPluginConfigResponse, error) {
	return &config.GetPluginConfigResponse{Config: e}, nil
}

var accepted = &http.HttpResponse{Status: 200, Body: []byte(`{"status":"ok"}`)}

const id = "0a7c0e6a-3a7d-4f0b-a1a0-6f1ad8c7a2c0"

func TestSubmissionsAreWhatListenBrainzTakes(t *testing.T) {
	whole := &api.TrackInfo{
		Name: "Sinnerman", Mbid: id, Album: "Pastel Blues", AlbumMbid: id, ReleaseGroupMbid: id, Length: 622, DurationMs: 622999, TrackNumber: 9, DiscNumber: 2,
		Artists: []*api.Artist{{Name: "Nina", Mbid: id}, {Name: "Simone", Mbid: id}},
	}
	for _, test := range []struct {
		name  string
		kind  string
		track *api.TrackInfo
		at    int64
		want  string
	}{
		{"a play", single, whole, 1700000000, `{"listen_type":"single","payload":[{"listened_at":1700000000,"track_metadata":{"artist_name":"Nina, Simone","track_name":"Sinnerman",` +
			`"release_name":"Pastel Blues","additional_info":{"submission_client":"pluginhost","submission_client_version":"1.0.0","artist_names":["Nina","Simone"],` +
			`"artist_mbids":["` + id + `","` + id + `"],"recording_mbid":"` + id + `","release_mbid":"` + id + `","release_group_mbid":"` + id + `","tracknumber":9,"discnumber":2,"duration_ms":622999}}}]}`},
		{"what plays now, and is known by its name", playingNow, &api.TrackInfo{Name: "Sinnerman", Length: 622, Artists: []*api.Artist{{Name: "Nina Simone"}}}, 0,
			`{"listen_type":"playing_now","payload":[{"track_metadata":{"artist_name":"Nina Simone","track_name":"Sinnerman",` +
				`"additional_info":{"submission_client":"pluginhost","submission_client_version":"1.0.0","artist_names":["Nina Simone"],"duration":622}}}]}`},
		{"ids that are none", single, &api.TrackInfo{
			Name: "x", Mbid: "x", AlbumMbid: "0a7c0e6a-3a7d-4f0b-a1a0-6f1ad8c7-2c0", ReleaseGroupMbid: "0a7c0e6a-3a7d-4f0b-a1a0-6f1ad8c7a2cz", TrackNumber: -1, DiscNumber: -1, Length: -1,
			Artists: []*api.Artist{{Name: "A", Mbid: id}, {Name: "B", Mbid: "b"}, {}},
		}, 1, `{"listen_type":"single","payload":[{"listened_at":1,"track_metadata":{"artist_name":"A, B","track_name":"x",` +
			`"additional_info":{"submission_client":"pluginhost","submission_client_version":"1.0.0","artist_names":["A","B"]}}}]}`},
		{"no track", single, nil, 1, `{"listen_type":"single","payload":[{"listened_at":1,"track_metadata":{"artist_name":"","track_name":"",` +
			`"additional_info":{"submission_client":"pluginhost","submission_client_version":"1.0.0"}}}]}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := json.Marshal(newSubmission(test.kind, test.track, test.at))
			if err != nil || string(got) != test.want {
				t.Errorf("%v\ngot  %s\nwant %s", err, got, test.want)
			}
		})
	}
}

func TestTheTokenIsThatOfTheUser(t *testing.T) {
	for _, test := range []struct {
		name, userID, username, want string
	}{
		{"by the name", "u9", "joe", "joes"},
		{"whatever its case", "u9", "JOE", "joes"},
		{"by the id where there is no name", "U1", "", "ones"},
		{"by the id where the name has none", "u1", "bob", "ones"},
		{"nobody", "u9", "bob", ""},
		{"a user without name and id", "", "", ""},
		{"an empty token", "", "ann", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			to := &receiver{answer: accepted}
			s := scrobbler{http: to, config: entries{"token_joe": " joes\n", "token_u1": "ones", "token_ann": " ", "token_": "anybodys"}, log: io.Discard}
			may, err := s.IsAuthorized(t.Context(), &api.ScrobblerIsAuthorizedRequest{UserId: test.userID, Username: test.username})
			if err != nil || may.Authorized != (test.want != "") {
				t.Errorf("authorized: %v, %v", may, err)
			}
			_, err = s.Scrobble(t.Context(), &api.ScrobblerScrobbleRequest{UserId: test.userID, Username: test.username})
			if test.want == "" {
				if !errors.Is(err, errNotAuthorized) || to.last != nil {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil || to.last.Headers["Authorization"] != "Token "+test.want || to.last.Url != address {
				t.Errorf("%v: %v", err, to.last)
			}
		})
	}
}

func TestATokenWithALineBreakIsRefusedWithoutShowingIt(t *testing.T) {
	s := scrobbler{http: &receiver{answer: accepted}, config: entries{"token_joe": "sec\nret"}, log: io.Discard}
	_, err := s.IsAuthorized(t.Context(), &api.ScrobblerIsAuthorizedRequest{Username: "joe"})
	if err == nil || !strings.Contains(err.Error(), "token_joe") || strings.Contains(err.Error(), "ret") {
		t.Errorf("got %v", err)
	}
}

func TestTheHostIsToldWhatToDo(t *testing.T) {
	for _, test := range []struct {
		name   string
		answer *http.HttpResponse
		want   error
	}{
		{"accepted", accepted, nil},
		{"a page in the place of ListenBrainz", &http.HttpResponse{Status: 200, Body: []byte("<html>log in")}, errRetryLater},
		{"another status", &http.HttpResponse{Status: 200, Body: []byte(`{"status":"busy"}`)}, errRetryLater},
		{"no answer", &http.HttpResponse{Error: "connection refused"}, errRetryLater},
		{"a redirect", &http.HttpResponse{Status: 302, Error: "redirect"}, errRetryLater},
		{"malformed", &http.HttpResponse{Status: 400, Body: []byte(`{"code":400,"error":"no artist"}`)}, errUnrecoverable},
		{"a wrong token", &http.HttpResponse{Status: 401}, errNotAuthorized},
		{"forbidden", &http.HttpResponse{Status: 403}, errUnrecoverable},
		{"too slow", &http.HttpResponse{Status: 408}, errRetryLater},
		{"too many", &http.HttpResponse{Status: 429}, errRetryLater},
		{"broken", &http.HttpResponse{Status: 500}, errRetryLater},
		{"away", &http.HttpResponse{Status: 503}, errRetryLater},
	} {
		t.Run(test.name, func(t *testing.T) {
			var log bytes.Buffer
			s := scrobbler{http: &receiver{answer: test.answer}, config: entries{"token_joe": "secret"}, log: &log}
			_, err := s.Scrobble(t.Context(), &api.ScrobblerScrobbleRequest{Username: "joe"})
			_, nowErr := s.NowPlaying(t.Context(), &api.ScrobblerNowPlayingRequest{Username: "joe"})
			if !errors.Is(err, test.want) || !errors.Is(nowErr, test.want) {
				t.Errorf("got %v and %v, want %v", err, nowErr, test.want)
			}
			if (log.Len() > 0) != (test.want != nil) || strings.Contains(log.String(), "secret") {
				t.Errorf("the log is %q", &log)
			}
		})
	}
}

func TestTheVersionIsThatOfTheManifest(t *testing.T) {
	content, err := os.ReadFile("manifest.json")
	if err != nil {
		t.Fatal(err)
	}
	var manifest struct{ Version string }
	if err := json.Unmarshal(content, &manifest); err != nil || manifest.Version != version {
		t.Errorf("the manifest has %q, the code %q: %v", manifest.Version, version, err)
	}
}
