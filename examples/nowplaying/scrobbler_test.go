package main

import (
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/api/host/artwork"
	"github.com/pluginhost/pluginhost/sdk/api/host/cache"
	"github.com/pluginhost/pluginhost/sdk/api/host/config"
	"github.com/pluginhost/pluginhost/sdk/api/host/http"
	"github.com/pluginhost/pluginhost/sdk/api/host/subsonicapi"
)

// world is all services at once.
type world struct {
	entries map[string]string
	status  int32
	posted  []card
	kept    map[string][]byte
	full    bool // the cache takes nothing
	answer  *subsonicapi.CallResponse
	asked   []string
	share   string
}

func (w *world) GetPluginConfig(context.Context, *config.GetPluginConfigRequest) (*config.GetPluginConfigResponse, error) {
	return &config.GetPluginConfigResponse{Config: w.entries}, nil
}

func (w *world) Post(_ context.Context, request *http.HttpRequest) (*http.HttpResponse, error) {
	var c card
	if err := json.Unmarshal(request.Body, &c); err != nil {
		return nil, err
	}
	w.posted = append(w.posted, c)
	return &http.HttpResponse{Status: w.status}, nil
}

func (w *world) SetBytes(_ context.Context, r *cache.SetBytesRequest) (*cache.SetResponse, error) {
	if !w.full {
		w.kept[r.Key] = r.Value
	}
	return &cache.SetResponse{Success: !w.full}, nil
}

func (w *world) SetInt(ctx context.Context, r *cache.SetIntRequest) (*cache.SetResponse, error) {
	return w.SetBytes(ctx, &cache.SetBytesRequest{Key: r.Key})
}

func (w *world) GetBytes(_ context.Context, r *cache.GetRequest) (*cache.GetBytesResponse, error) {
	value, found := w.kept[r.Key]
	return &cache.GetBytesResponse{Exists: found, Value: value}, nil
}

func (w *world) Has(_ context.Context, r *cache.HasRequest) (*cache.HasResponse, error) {
	_, found := w.kept[r.Key]
	return &cache.HasResponse{Exists: found}, nil
}

func (w *world) GetAlbumUrl(_ context.Context, r *artwork.GetArtworkUrlRequest) (*artwork.GetArtworkUrlResponse, error) {
	return &artwork.GetArtworkUrlResponse{Url: w.share + "/" + r.Id}, nil
}

func (w *world) Call(_ context.Context, r *subsonicapi.CallRequest) (*subsonicapi.CallResponse, error) {
	w.asked = append(w.asked, r.Url)
	return w.answer, nil
}

func (w *world) play(t *testing.T, username, track string) error {
	t.Helper()
	s := scrobbler{http: w, config: w, cache: w, artwork: w, subsonic: w, log: io.Discard}
	_, err := s.NowPlaying(t.Context(), &api.ScrobblerNowPlayingRequest{
		UserId: "u1", Username: username,
		Track: &api.TrackInfo{Id: track, Name: "Sinnerman", Album: "Pastel Blues", Artists: []*api.Artist{{Name: "Nina Simone"}}},
	})
	return err
}

const answered = `{"subsonic-response":{"status":"ok","song":{"title":"Sinnerman","artist":"Nina Simone","album":"Pastel Blues","albumId":"al1","year":1965,"playCount":7}}}`

func newWorld() *world {
	return &world{
		entries: map[string]string{"url": "https://discord.com/api/webhooks/1/x"}, status: 204, kept: map[string][]byte{},
		answer: &subsonicapi.CallResponse{Json: answered}, share: "https://music.example.com",
	}
}

func (w *world) wantCard(t *testing.T, title, description, cover, foot string) {
	t.Helper()
	if len(w.posted) != 1 {
		t.Fatalf("%d cards were posted", len(w.posted))
	}
	e := w.posted[0].Embeds[0]
	var gotCover, gotFoot string
	if e.Thumbnail != nil {
		gotCover = e.Thumbnail.URL
	}
	if e.Footer != nil {
		gotFoot = e.Footer.Text
	}
	if e.Title != title || e.Description != description || gotCover != cover || gotFoot != foot {
		t.Errorf("got %q, %q, %q, %q", e.Title, e.Description, gotCover, gotFoot)
	}
}

func TestACardHasAllThatNavidromeTells(t *testing.T) {
	w := newWorld()
	if err := w.play(t, "joe", "t1"); err != nil {
		t.Fatal(err)
	}
	w.wantCard(t, "Nina Simone – Sinnerman", "Pastel Blues (1965)", "https://music.example.com/al1", "played 7 times before")
	if len(w.asked) != 1 || w.asked[0] != "/rest/getSong?id=t1&u=joe" {
		t.Errorf("asked %q", w.asked)
	}
}

func TestAnAlbumIsPostedOnce(t *testing.T) {
	w := newWorld()
	for range 3 {
		if err := w.play(t, "joe", "t1"); err != nil {
			t.Fatal(err)
		}
	}
	if len(w.posted) != 1 || len(w.asked) != 1 {
		t.Errorf("%d cards, %d questions; want one each", len(w.posted), len(w.asked))
	}
}

func TestACardIsPostedWithoutWhatCannotBeHad(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(w *world)
		user   string
		cover  string
	}{
		{"no name of the user", func(*world) {}, "", ""},
		{"a call that is refused", func(w *world) { w.answer = &subsonicapi.CallResponse{Error: "username joe is not allowed"} }, "joe", ""},
		{"an answer that is a failure", func(w *world) {
			w.answer = &subsonicapi.CallResponse{Json: `{"subsonic-response":{"status":"failed","error":{"code":70,"message":"no"}}}`}
		}, "joe", ""},
		{"an answer that is no JSON", func(w *world) { w.answer = &subsonicapi.CallResponse{Json: "404"} }, "joe", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld()
			test.change(w)
			if err := w.play(t, test.user, "t1"); err != nil {
				t.Fatal(err)
			}
			w.wantCard(t, "Nina Simone – Sinnerman", "Pastel Blues", test.cover, "")
		})
	}
}

func TestAnAddressThatOnlyWeCanReachIsNoCover(t *testing.T) {
	w := newWorld()
	w.share = "http://localhost"
	if err := w.play(t, "joe", "t1"); err != nil {
		t.Fatal(err)
	}
	w.wantCard(t, "Nina Simone – Sinnerman", "Pastel Blues (1965)", "", "played 7 times before")
}

func TestACardThatIsNotTakenIsAnErrorAndTriedAgain(t *testing.T) {
	w := newWorld()
	w.status = 500
	if err := w.play(t, "joe", "t1"); err == nil {
		t.Error("no error")
	}
	w.status = 204
	if err := w.play(t, "joe", "t1"); err != nil || len(w.posted) != 2 {
		t.Errorf("%v, %d cards", err, len(w.posted))
	}
}

func TestAFullCacheCostsOnlyTheQuiet(t *testing.T) {
	w := newWorld()
	w.full = true
	for range 2 {
		if err := w.play(t, "joe", "t1"); err != nil {
			t.Fatal(err)
		}
	}
	if len(w.posted) != 2 {
		t.Errorf("%d cards", len(w.posted))
	}
}

func TestBadConfigurationIsNamed(t *testing.T) {
	for want, entries := range map[string]map[string]string{
		"url is missing":        {},
		`quiet_minutes is "x"`:  {"url": "https://discord.com/api/webhooks/1", "quiet_minutes": "x"},
		`quiet_minutes is "0"`:  {"url": "https://discord.com/api/webhooks/1", "quiet_minutes": "0"},
		`quiet_minutes is "-1"`: {"url": "https://discord.com/api/webhooks/1", "quiet_minutes": "-1"},
	} {
		w := newWorld()
		w.entries = entries
		if err := w.play(t, "joe", "t1"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
