package examples_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
)

// addExample puts an example into a plugins folder, with the manifest of
// reaching.
func addExample(t *testing.T, folder, id string, upstream *httptest.Server) {
	t.Helper()
	wasm, err := os.ReadFile(guests.Compile(t, filepath.Join(guests.Root(), "examples", id)))
	if err != nil {
		t.Fatal(err)
	}
	testenv.AddPlugin(t, folder, id, reaching(t, id, upstream), wasm)
}

// reaching is the manifest of an example, changed so that it may reach the
// upstream of the test, and WebSocket servers.
func reaching(t *testing.T, id string, upstream *httptest.Server) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(guests.Root(), "examples", id, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	var manifest map[string]any
	if err := json.Unmarshal(content, &manifest); err != nil {
		t.Fatal(err)
	}
	if permission, ok := manifest["permissions"].(map[string]any)["http"].(map[string]any); ok {
		permission["allowedUrls"] = map[string]any{upstream.URL + "/*": []string{"*"}}
		permission["allowLocalNetwork"] = true
	}
	if permission, ok := manifest["permissions"].(map[string]any)["websocket"].(map[string]any); ok {
		permission["allowedUrls"] = []string{"ws://127.0.0.1:*"}
		permission["allowLocalNetwork"] = true
	}
	if content, err = json.Marshal(manifest); err != nil {
		t.Fatal(err)
	}
	return content
}

// hosted runs an example on a replica.
func hosted(t *testing.T, id string, upstream *httptest.Server, entries map[string]string) *client.Client {
	t.Helper()
	folder := t.TempDir()
	addExample(t, folder, id, upstream)
	config := testenv.Config(t, testenv.NATS(t), folder)
	config.PluginConfig = map[string]map[string]string{id: entries}
	testenv.Start(t, config, nil)
	return client.New(testenv.Connect(t, config.NATS.URL))
}

func TestMinimalThroughAHost(t *testing.T) {
	t.Parallel()
	agent := hosted(t, "minimal", nil, nil).MetadataAgent("minimal")
	answer, err := agent.GetArtistURL(t.Context(), &api.ArtistURLRequest{Mbid: "42"})
	if err != nil || answer.Url != "https://musicbrainz.org/artist/42" {
		t.Errorf("got %v, %v", answer, err)
	}
	if _, err := agent.GetAlbumInfo(t.Context(), &api.AlbumInfoRequest{}); !errors.Is(err, api.ErrNotImplemented) {
		t.Errorf("got %v, want ErrNotImplemented", err)
	}
}

func TestWikipediaThroughAHost(t *testing.T) {
	t.Parallel()
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/api/rest_v1/page/summary/Nina_Simone", "/api/rest_v1/page/summary/Nina Simone":
			_, _ = fmt.Fprint(w, `{"type":"standard","title":"Nina Simone","description":"American singer","extract":"She sang.",
				"content_urls":{"desktop":{"page":"https://en.wikipedia.org/wiki/Nina_Simone"}}}`)
		case "/api/rest_v1/page/summary/Down":
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(upstream.Close)
	agent := hosted(t, "wikipedia", upstream, map[string]string{"base_url": upstream.URL}).MetadataAgent("wikipedia")
	answer, err := agent.GetArtistBiography(t.Context(), &api.ArtistBiographyRequest{Name: "Nina Simone"})
	if err != nil || answer.Biography != "She sang." {
		t.Errorf("got %v, %v", answer, err)
	}
	if _, err := agent.GetArtistBiography(t.Context(), &api.ArtistBiographyRequest{Name: "Nobody"}); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
	if _, err := agent.GetArtistBiography(t.Context(), &api.ArtistBiographyRequest{Name: "Down"}); !errors.Is(err, subjects.ErrPlugin) {
		t.Errorf("got %v, want an error of the plugin's own", err)
	}
}

func TestWebhookThroughAHost(t *testing.T) {
	t.Parallel()
	received := make(chan map[string]any, 1)
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var event map[string]any
		if err := json.NewDecoder(r.Body).Decode(&event); err != nil || r.Method != http.MethodPost || r.Header.Get("Authorization") != "Bearer sesame" {
			http.Error(w, "no", http.StatusBadRequest)
			return
		}
		received <- event
	}))
	t.Cleanup(upstream.Close)
	scrobbler := hosted(t, "webhook", upstream, map[string]string{"url": upstream.URL + "/hook", "token": "sesame"}).Scrobbler("webhook")
	joe := client.User{ID: "1", Name: "joe"}
	if err := scrobbler.Scrobble(t.Context(), joe, &api.TrackInfo{Id: "t1", Name: "Sinnerman"}, time.Unix(1700000000, 0)); err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(<-received)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"scrobble", "joe", "Sinnerman"} {
		if !json.Valid(body) || !containsText(body, want) {
			t.Errorf("%q is not in %s", want, body)
		}
	}
}

func containsText(body []byte, text string) bool {
	var found bool
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case string:
			found = found || v == text
		case map[string]any:
			for _, inner := range v {
				walk(inner)
			}
		case []any:
			for _, inner := range v {
				walk(inner)
			}
		}
	}
	var document any
	if json.Unmarshal(body, &document) == nil {
		walk(document)
	}
	return found
}
