package main_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/pluginhost/pluginhost/plugintest"
	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/subjects"
)

// token is one as pluginhost token create prints it.
var token = "ph_" + strings.Repeat("a2b7", 13)

// origin is where settings that say nothing else lead.
const origin = "http://127.0.0.1:8080"

// load runs the bridge with a token, and with other settings in pairs.
func load(t *testing.T, settings ...string) *plugintest.Host {
	t.Helper()
	host := plugintest.Load(t, ".")
	host.SetConfig("token", token)
	for i := 0; i < len(settings); i += 2 {
		host.SetConfig(settings[i], settings[i+1])
	}
	if err := host.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	return host
}

// encoded is a message as a gateway sends it.
func encoded(t *testing.T, message plugintest.Message) []byte {
	t.Helper()
	body, err := message.MarshalVT()
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// raw is any message, as it is encoded.
type raw []byte

func (r *raw) MarshalVT() ([]byte, error) { return *r, nil }

func (r *raw) UnmarshalVT(body []byte) error {
	*r = bytes.Clone(body)
	return nil
}

// says answers with a status, a content type and a body.
func says(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// fails answers as a gateway does when a call fails.
func fails(status int, name, text string) http.HandlerFunc {
	return says(status, "application/json", fmt.Sprintf(`{"v":1,"code":%d,"name":%q,"error":%q}`, status, name, text))
}

func TestEveryMethodIsAskedAsItIs(t *testing.T) {
	t.Parallel()
	host := load(t)
	answers := map[string]plugintest.Message{
		"get_artist_mbid":      &api.ArtistMBIDResponse{Mbid: "m"},
		"get_artist_url":       &api.ArtistURLResponse{Url: "https://a.example"},
		"get_artist_biography": &api.ArtistBiographyResponse{Biography: "She sang. \xff"}, // no host looks at the encoding
		"get_similar_artists":  &api.ArtistSimilarResponse{Artists: []*api.Artist{{Name: "A"}, {Name: "B", Mbid: "b"}}},
		"get_artist_images":    &api.ArtistImageResponse{Images: []*api.ExternalImage{{Url: "https://i.example", Size: 300}}},
		"get_artist_top_songs": &api.ArtistTopSongsResponse{Songs: []*api.Song{{Name: "S"}}},
		"get_album_info":       &api.AlbumInfoResponse{Info: &api.AlbumInfo{Name: "A", Description: "d"}},
		"get_album_images":     &api.AlbumImagesResponse{Images: []*api.ExternalImage{{Url: "https://i.example"}}},
	}
	requests := map[string]plugintest.Message{
		"get_artist_mbid":      &api.ArtistMBIDRequest{Id: "1", Name: "N\xff"},
		"get_artist_url":       &api.ArtistURLRequest{Id: "1", Name: "N", Mbid: "m"},
		"get_artist_biography": &api.ArtistBiographyRequest{}, // a body of nothing
		"get_similar_artists":  &api.ArtistSimilarRequest{Name: "N", Limit: 150},
		"get_artist_images":    &api.ArtistImageRequest{Name: "N"},
		"get_artist_top_songs": &api.ArtistTopSongsRequest{ArtistName: "N", Count: 22},
		"get_album_info":       &api.AlbumInfoRequest{Name: "A", Artist: "N"},
		"get_album_images":     &api.AlbumImagesRequest{Name: "A", Artist: "N"},
	}
	for method, answer := range answers {
		t.Run(method, func(t *testing.T) {
			want := encoded(t, answer)
			host.HTTP(origin, says(http.StatusOK, subjects.ContentTypeProtobuf, string(want)))
			var got raw
			before := len(host.Requests())
			if err := host.Call(t.Context(), method, requests[method], &got); err != nil {
				t.Fatal(err)
			}
			if string(got) != string(want) {
				t.Errorf("got %q, want %q", got, want)
			}
			sent := host.Requests()[before:]
			if len(sent) != 1 {
				t.Fatalf("%d requests", len(sent))
			}
			if body := encoded(t, requests[method]); string(sent[0].Body) != string(body) {
				t.Errorf("sent %q, want %q", sent[0].Body, body)
			}
			if where := sent[0].Method + " " + sent[0].URL; where != "POST "+origin+subjects.HTTPAgents+"/"+method {
				t.Errorf("asked %s", where)
			}
		})
	}
}

func TestSettingsSayWhoIsAskedAndForHowLong(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		settings []string
		want     string // the address
		timeout  string
	}{
		{"the agent set, by default", nil, origin + subjects.HTTPAgents + "/get_artist_url", "8s"},
		{"a plugin", []string{"plugin", "wikipedia"}, origin + subjects.HTTPPlugins + "/wikipedia/get_artist_url", "8s"},
		{"an id with what a path must not have", []string{"plugin", "a b/ü?#%"}, origin + subjects.HTTPPlugins + "/a%20b%2F%C3%BC%3F%23%25/get_artist_url", "8s"},
		{"a slash at the end", []string{"url", " http://127.0.0.1:8081/ "}, "http://127.0.0.1:8081" + subjects.HTTPAgents + "/get_artist_url", "8s"},
		{"behind a proxy", []string{"url", "HTTPS://music.example/plug%20in//", "timeout", "2500ms"}, "https://music.example/plug%20in" + subjects.HTTPAgents + "/get_artist_url", "2.5s"},
		{"seconds", []string{"timeout", "12"}, origin + subjects.HTTPAgents + "/get_artist_url", "12s"},
		{"empty is the default", []string{"url", "", "plugin", "", "timeout", ""}, origin + subjects.HTTPAgents + "/get_artist_url", "8s"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			host := load(t, test.settings...)
			for _, site := range []string{origin, "http://127.0.0.1:8081", "https://music.example"} {
				host.HTTP(site, says(http.StatusOK, subjects.ContentTypeProtobuf, ""))
			}
			if _, err := host.MetadataAgent().GetArtistURL(t.Context(), &api.ArtistURLRequest{Name: "N"}); err != nil {
				t.Fatal(err)
			}
			sent := host.Requests()[0]
			if sent.URL != test.want {
				t.Errorf("asked %s, want %s", sent.URL, test.want)
			}
			for header, want := range map[string]string{
				"Authorization": "Bearer " + token, "Content-Type": subjects.ContentTypeProtobuf, subjects.HeaderTimeout: test.timeout,
			} {
				if got := sent.Header.Get(header); got != want {
					t.Errorf("%s is %q, want %q", header, got, want)
				}
			}
		})
	}
}

// What Navidrome would take for an answer, and ask no other agent.
func TestAnAnswerThatSaysNothingIsNotFound(t *testing.T) {
	t.Parallel()
	host := load(t)
	for name, test := range map[string]struct {
		method, body string
	}{
		"no biography":             {"get_artist_biography", ""},
		"a biography of blanks":    {"get_artist_biography", string(encoded(t, &api.ArtistBiographyResponse{Biography: " \n"}))},
		"no album":                 {"get_album_info", ""},
		"an album without a field": {"get_album_info", string(encoded(t, &api.AlbumInfoResponse{Info: &api.AlbumInfo{}}))},
	} {
		t.Run(name, func(t *testing.T) {
			host.HTTP(origin, says(http.StatusOK, subjects.ContentTypeProtobuf, test.body))
			if err := host.Call(t.Context(), test.method, new(raw), new(raw)); !errors.Is(err, api.ErrNotFound) {
				t.Errorf("got %v, want %v", err, api.ErrNotFound)
			}
		})
	}
}
