package bridge060_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/pluginhost/pluginhost/bridges/extismhost"
	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/api/schema"
)

// message is a message of the contract.
type message interface {
	MarshalVT() ([]byte, error)
	UnmarshalVT(encoded []byte) error
}

// checkMessage checks that JSON is a request of a method.
func checkMessage(t *testing.T, method string, body []byte, want message) {
	t.Helper()
	m, ok := schema.Navidrome058().Method(method)
	if !ok {
		t.Fatalf("no method %s", method)
	}
	wanted, err := want.MarshalVT()
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := m.RequestFromJSON(body)
	if err != nil {
		t.Fatalf("%s of %s: %v", method, body, err)
	}
	// The order of fields is not that of the other encoder.
	decoded := reflect.New(reflect.TypeOf(want).Elem()).Interface().(message)
	if err := decoded.UnmarshalVT(encoded); err != nil {
		t.Fatal(err)
	}
	if got, err := decoded.MarshalVT(); err != nil || !bytes.Equal(got, wanted) {
		t.Errorf("%s of %s, want %+v, %v", method, body, want, err)
	}
}

// messageJSON is the response of a method in JSON, as a gateway sends it.
func messageJSON(t *testing.T, method string, response message) string {
	t.Helper()
	m, ok := schema.Navidrome058().Method(method)
	if !ok {
		t.Fatalf("no method %s", method)
	}
	encoded, err := response.MarshalVT()
	if err != nil {
		t.Fatal(err)
	}
	body, err := m.ResponseToJSON(encoded)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// question is an export of the agent: what Navidrome asks, and what the gateway is asked.
type question struct {
	method, input string
	want          message
}

func questions() map[string]question {
	return map[string]question{
		"nd_get_artist_mbid": {"get_artist_mbid", artist, &api.ArtistMBIDRequest{Id: "10PUKkeBTCNZvme6M4c9HD", Name: "Artist"}},
		"nd_get_artist_url": {
			"get_artist_url", `{"id":"1","name":"Ä\u003cb\u003e\ud83d\ude00","mbid":"m"}`,
			&api.ArtistURLRequest{Id: "1", Name: "Ä<b>😀", Mbid: "m"},
		},
		biography: {
			"get_artist_biography", `{"id":"","name":"Say \"\\\" / \n\u0001","mbid":null,"new":{"id":"no"}}`,
			&api.ArtistBiographyRequest{Name: "Say \"\\\" / \n\x01"},
		},
		"nd_get_artist_images": {"get_artist_images", `{"name":"A"}`, &api.ArtistImageRequest{Name: "A"}},
		"nd_get_similar_artists": {
			"get_similar_artists", `{"id":"1","name":"A","limit":15}`, &api.ArtistSimilarRequest{Id: "1", Name: "A", Limit: 15},
		},
		"nd_get_artist_top_songs": {
			"get_artist_top_songs", `{"id":"1","name":"A","mbid":"m","count":99999999999}`,
			&api.ArtistTopSongsRequest{Id: "1", ArtistName: "A", Mbid: "m", Count: 1<<31 - 1},
		},
		"nd_get_album_info": {
			"get_album_info", `{"name":"N","artist":"A","mbid":"m"}`, &api.AlbumInfoRequest{Name: "N", Artist: "A", Mbid: "m"},
		},
		"nd_get_album_images": {"get_album_images", ` { "name" : "N" , "artist" : "A" } `, &api.AlbumImagesRequest{Name: "N", Artist: "A"}},
	}
}

func checkQuestions(t *testing.T, b *bridge) {
	for plugin, path := range map[string]string{"": "/v1/agents/", "wikipedia": "/v1/plugins/wikipedia/"} {
		loaded, w := b.world(t, settings("http://host:1", "plugin", plugin))
		w.says(http.StatusOK, `{}`)
		for export, q := range questions() {
			if output, err := loaded.OutputOf(t.Context(), export, []byte(q.input)); err != nil || len(output) > 0 {
				t.Errorf("%s: %s, %v", export, output, err)
			}
			asked := w.asked()
			if asked.Method != http.MethodPost || asked.URL != "http://host:1"+path+q.method || !asked.NoFollowRedirects {
				t.Errorf("%s: %+v", export, asked)
			}
			checkMessage(t, q.method, asked.Body, q.want)
			if asked.Headers["Authorization"] != "Bearer "+token || asked.Headers["Content-Type"] != "application/json" {
				t.Errorf("%s: headers %v", export, asked.Headers)
			}
		}
	}
}

func checkAnswers(t *testing.T, b *bridge) {
	plugin, w := b.world(t, settings("http://host"))
	for _, c := range []struct {
		export string
		answer message
		want   string
	}{
		{"nd_get_artist_mbid", &api.ArtistMBIDResponse{Mbid: "m"}, `{"mbid":"m"}`},
		{"nd_get_artist_url", &api.ArtistURLResponse{Url: "http://a/?b&c"}, `{"url":"http://a/?b&c"}`},
		{biography, &api.ArtistBiographyResponse{Biography: "Ä \"<b>\"\n😀"}, `{"biography":"Ä \"<b>\"\u000A😀"}`},
		{
			"nd_get_artist_images", &api.ArtistImageResponse{Images: []*api.ExternalImage{{Url: "a", Size: 3}, {Size: 1}, {Url: "b"}}},
			`{"images":[{"url":"a","size":3},{"url":"b"}]}`,
		},
		{
			"nd_get_similar_artists", &api.ArtistSimilarResponse{Artists: []*api.Artist{{Name: "A", Mbid: "m"}, {Mbid: "no"}, {Name: "B"}}},
			`{"artists":[{"name":"A","mbid":"m"},{"name":"B"}]}`,
		},
		{"nd_get_artist_top_songs", &api.ArtistTopSongsResponse{Songs: []*api.Song{{Name: "S", Mbid: "m"}}}, `{"songs":[{"name":"S","mbid":"m"}]}`},
		{
			"nd_get_album_info", &api.AlbumInfoResponse{Info: &api.AlbumInfo{Name: "N", Mbid: "m", Description: "D", Url: "u"}},
			`{"name":"N","mbid":"m","description":"D","url":"u"}`,
		},
		{"nd_get_album_images", &api.AlbumImagesResponse{Images: []*api.ExternalImage{{Url: "a", Size: 300}}}, `{"images":[{"url":"a","size":300}]}`},
	} {
		w.says(http.StatusOK, messageJSON(t, strings.TrimPrefix(c.export, "nd_"), c.answer))
		var output json.RawMessage
		if err := plugin.Call(t.Context(), c.export, json.RawMessage(artist), &output); err != nil || string(output) != c.want {
			t.Errorf("%s: %s, want %s, %v", c.export, output, c.want, err)
		}
	}
}

func checkNothing(t *testing.T, b *bridge) {
	plugin, w := b.world(t, settings("http://host"))
	for export := range questions() {
		for _, body := range []string{
			`{}`, `{"biography":"","url":"","mbid":"","images":[],"artists":[],"songs":[],"info":{}}`,
			`{"biography":null,"url":null,"mbid":null,"images":null,"artists":null,"songs":null,"info":null}`,
			`{"images":[{"url":""},{}],"artists":[{"mbid":"m"},7],"songs":[[]],"info":{"name":""}}`,
		} {
			w.says(http.StatusOK, body)
			if output, err := plugin.OutputOf(t.Context(), export, []byte(artist)); err != nil || len(output) > 0 {
				t.Errorf("%s, answered %s: %s, %v", export, body, output, err)
			}
		}
		w.says(http.StatusNotFound, failure(404, "plugin:not_found"))
		if output, err := plugin.OutputOf(t.Context(), export, []byte(artist)); err != nil || len(output) > 0 {
			t.Errorf("%s, not found: %s, %v", export, output, err)
		}
		w.says(http.StatusNotImplemented, failure(501, "plugin:not_implemented"))
		if _, err := plugin.OutputOf(t.Context(), export, []byte(artist)); !errors.Is(err, extismhost.ErrNotImplemented) {
			t.Errorf("%s, not implemented: %v", export, err)
		}
	}
}

// checkLarge passes on an answer near the limit of Navidrome.
func checkLarge(t *testing.T, b *bridge) {
	text := strings.Repeat("Ä<&>\\\" ", 1_000_000)
	body, err := json.Marshal(map[string]string{"biography": text})
	if err != nil {
		t.Fatal(err)
	}
	if text = text[:len(text)*(10<<20)/(len(body)+100)]; text[len(text)-1] == 0xc3 {
		text = text[:len(text)-1]
	}
	encoder := &strings.Builder{}
	e := json.NewEncoder(encoder)
	e.SetEscapeHTML(false)
	if err := e.Encode(map[string]string{"biography": text}); err != nil {
		t.Fatal(err)
	}
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if _, err := w.Write([]byte(encoder.String())); err != nil {
			t.Error(err)
		}
	})
	var got struct{ Biography string }
	plugin := b.load(t, extismhost.Options{Config: settings(url)})
	if err := plugin.Call(t.Context(), biography, json.RawMessage(artist), &got); err != nil || got.Biography != text {
		t.Errorf("%d of %d bytes arrived, %v", len(got.Biography), len(text), err)
	}
}
