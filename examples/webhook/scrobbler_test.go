package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"reflect"
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

const address = "https://example.com/plays"

var played = &api.ScrobblerScrobbleRequest{
	UserId: "u1", Username: "alice", Timestamp: 1767323045,
	Track: &api.TrackInfo{
		Id: "t1", Mbid: "m1", Name: "Sinnerman", Album: "Pastel Blues", AlbumMbid: "m2",
		Artists: []*api.Artist{{Name: "Nina Simone", Mbid: "m3"}}, Length: 622,
	},
}

func scrobble(to *receiver, settings entries, request *api.ScrobblerScrobbleRequest) error {
	_, err := scrobbler{http: to, config: settings, log: io.Discard}.Scrobble(context.Background(), request)
	return err
}

func wantJSON(t *testing.T, got []byte, want string) {
	t.Helper()
	var gotValue, wantValue any
	if err := json.Unmarshal(got, &gotValue); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(want), &wantValue); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(gotValue, wantValue) {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

func TestScrobbleIsPostedAsDocumented(t *testing.T) {
	to := &receiver{answer: &http.HttpResponse{Status: 204}}
	if err := scrobble(to, entries{"url": address, "token": "secret"}, played); err != nil {
		t.Fatal(err)
	}
	if to.last.Url != address || to.last.Headers["Authorization"] != "Bearer secret" || to.last.Headers["Content-Type"] != "application/json" {
		t.Errorf("got %s with %v", to.last.Url, to.last.Headers)
	}
	wantJSON(t, to.last.Body, `{"event":"scrobble","time":"2026-01-02T03:04:05Z","user":{"id":"u1","name":"alice"},
		"track":{"id":"t1","mbid":"m1","title":"Sinnerman","album":"Pastel Blues","album_mbid":"m2",
			"artists":[{"name":"Nina Simone","mbid":"m3"}],"album_artists":[],"length":622,"position":0}}`)
}

func TestNowPlayingWithoutATrackIsStillPosted(t *testing.T) {
	to := &receiver{answer: &http.HttpResponse{Status: 200}}
	s := scrobbler{http: to, config: entries{"url": address}, log: io.Discard}
	if _, err := s.NowPlaying(context.Background(), &api.ScrobblerNowPlayingRequest{UserId: "u1"}); err != nil {
		t.Fatal(err)
	}
	if _, sent := to.last.Headers["Authorization"]; sent {
		t.Error("an Authorization header without a token")
	}
	wantJSON(t, to.last.Body, `{"event":"now_playing","time":"1970-01-01T00:00:00Z","user":{"id":"u1","name":""},
		"track":{"id":"","title":"","artists":[],"album_artists":[],"length":0,"position":0}}`)
}

func TestOutcomeFollowsTheAnswer(t *testing.T) {
	for _, test := range []struct {
		name   string
		answer *http.HttpResponse
		want   string // the text of the error; empty is success
	}{
		{"accepted", &http.HttpResponse{Status: 200}, ""},
		{"accepted with an over-long body", &http.HttpResponse{Status: 200, Error: "response body is over the limit"}, ""},
		{"too many requests", &http.HttpResponse{Status: 429}, "retry later"},
		{"a broken server", &http.HttpResponse{Status: 503}, "retry later"},
		{"no connection", &http.HttpResponse{Error: "connection refused"}, "retry later"},
		{"a token that is not accepted", &http.HttpResponse{Status: 401, Body: []byte("who?")}, `the receiver answered with status 401: "who?"`},
		{"a redirect to a page", &http.HttpResponse{Status: 302, Error: blockedPrefix + "redirect: no"}, "the receiver answered with status 302: " + blockedPrefix + "redirect: no"},
		{"an address that is not allowed", &http.HttpResponse{Error: blockedPrefix + "no"}, blockedPrefix + "no"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := ""
			if err := scrobble(&receiver{answer: test.answer}, entries{"url": address}, played); err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestReasonForARetryIsLogged(t *testing.T) {
	var log strings.Builder
	s := scrobbler{http: &receiver{answer: &http.HttpResponse{Error: "connection refused"}}, config: entries{"url": address}, log: &log}
	if _, err := s.Scrobble(context.Background(), played); !errors.Is(err, errRetryLater) {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "connection refused") {
		t.Errorf("logged %q", log.String())
	}
}

func TestUsersDecideWhoIsAuthorized(t *testing.T) {
	for _, test := range []struct {
		name, users, username string
		want                  bool
	}{
		{"everybody without a list", "", "carol", true},
		{"a user on the list", "alice, Bob", "bob", true},
		{"a user who is not on the list", "alice, bob", "carol", false},
		{"nobody has no name", "alice", "", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := scrobbler{config: entries{"url": address, "users": test.users}}
			response, err := s.IsAuthorized(context.Background(), &api.ScrobblerIsAuthorizedRequest{Username: test.username})
			if err != nil {
				t.Fatal(err)
			}
			if response.Authorized != test.want {
				t.Errorf("got %v", response.Authorized)
			}
		})
	}
}

func TestBadConfigurationIsNamed(t *testing.T) {
	for _, test := range []struct {
		name     string
		settings entries
		want     string
	}{
		{"no url", nil, "url is missing"},
		{"no web address", entries{"url": "ftp://example.com"}, "url must begin"},
		{"a broken token", entries{"url": address, "token": "a\nb"}, "token has"},
	} {
		t.Run(test.name, func(t *testing.T) {
			to := &receiver{}
			err := scrobble(to, test.settings, played)
			if err == nil || !strings.Contains(err.Error(), test.want) || to.last != nil {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}
