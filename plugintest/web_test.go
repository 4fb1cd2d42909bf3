package plugintest_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/plugintest"
	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/subjects"
)

// hook keeps what is posted to it.
type hook struct {
	mu     sync.Mutex
	bodies []string
}

// webhook is at https://hooks.example.com.
func webhook(t testing.TB, host *plugintest.Host) *hook {
	t.Helper()
	h := &hook{}
	host.HTTP("https://hooks.example.com", h)
	return h
}

// ServeHTTP implements http.Handler.
func (h *hook) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.bodies = append(h.bodies, string(body))
}

func (h *hook) want(t testing.TB, want ...string) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if !slices.Equal(h.bodies, want) {
		t.Errorf("got %q, want %q", h.bodies, want)
	}
}

// ask has the example wikipedia look an artist up.
func ask(t testing.TB, host *plugintest.Host, name string) (string, error) {
	t.Helper()
	answer, err := host.MetadataAgent().GetArtistBiography(t.Context(), &api.ArtistBiographyRequest{Name: name})
	return answer.GetBiography(), err
}

func page(extract string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]string{"type": "standard", "description": "singer", "extract": extract})
	}
}

func TestRequestsGoToTheHandlerOfTheirOrigin(t *testing.T) {
	t.Parallel()
	host := example(t, "wikipedia")
	german := http.NewServeMux()
	german.Handle("GET /api/rest_v1/page/summary/Nina_Simone", page("Sie sang."))
	host.HTTP("https://en.wikipedia.org", page("She sang."))
	host.HTTP("https://DE.wikipedia.org:443/", german)
	if got, err := ask(t, host, "Nina Simone"); err != nil || got != "She sang." {
		t.Errorf("got %q, %v", got, err)
	}
	host.SetConfig("language", "de")
	if got, err := ask(t, host, "Nina Simone"); err != nil || got != "Sie sang." {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := ask(t, host, "Nobody"); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
	host.HTTP("https://de.wikipedia.org", page("Sie sang laut."))
	if got, err := ask(t, host, "Nina Simone"); err != nil || got != "Sie sang laut." {
		t.Errorf("from another handler: got %q, %v", got, err)
	}
}

func TestRequestsAreKept(t *testing.T) {
	t.Parallel()
	host := example(t, "webhook")
	host.SetConfig("url", "https://hooks.example.com/plays?x=1")
	host.SetConfig("token", "sesame")
	posted := webhook(t, host)
	if _, err := host.Scrobbler().Scrobble(t.Context(), &api.ScrobblerScrobbleRequest{UserId: "u1", Track: &api.TrackInfo{Id: "t1"}}); err != nil {
		t.Fatal(err)
	}
	made := host.Requests()
	if len(made) != 1 {
		t.Fatalf("got %+v", made)
	}
	r := made[0]
	if r.Method != http.MethodPost || r.URL != "https://hooks.example.com/plays?x=1" || r.Header.Get("Authorization") != "Bearer sesame" || !strings.Contains(string(r.Body), `"id":"u1"`) {
		t.Errorf("got %+v", r)
	}
	posted.want(t, string(r.Body))
}

func TestWhatTheManifestDoesNotAllowIsNotRequested(t *testing.T) {
	t.Parallel()
	host := example(t, "wikipedia")
	asked := false
	host.HTTP("https://example.com", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	host.HTTP("http://127.0.0.1:8080", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	for _, base := range []string{"https://example.com", "http://127.0.0.1:8080", "http://en.wikipedia.org"} {
		host.SetConfig("base_url", base)
		if _, err := ask(t, host, "Kiss"); !errors.Is(err, subjects.ErrPlugin) || !strings.Contains(err.Error(), "Request blocked by plugin permissions: ") {
			t.Errorf("%s: got %v", base, err)
		}
	}
	if asked || len(host.Requests()) != 0 {
		t.Errorf("requested was %+v", host.Requests())
	}
}

func TestTheLocalNetworkNeedsItsPermission(t *testing.T) {
	t.Parallel()
	host := newStateful(t) // journal.example.com alone, and no local network
	host.HTTP("https://127.0.0.1", host)
	host.SetConfig("journal", "https://127.0.0.1/")
	if r := do(t, host.Host, command{Do: "tell"}); !strings.Contains(r.Error, "Request blocked by plugin permissions: ") {
		t.Errorf("got %+v", r)
	}
	allowed := example(t, "webhook")
	allowed.SetConfig("url", "http://192.168.1.2:8080/plays")
	allowed.HTTP("http://192.168.1.2:8080", &hook{})
	if _, err := allowed.Scrobbler().Scrobble(t.Context(), &api.ScrobblerScrobbleRequest{}); err != nil {
		t.Errorf("with it: %v", err)
	}
}

func TestAnOriginWithoutAHandlerSaysSo(t *testing.T) {
	t.Parallel()
	host := example(t, "wikipedia")
	if _, err := ask(t, host, "Kiss"); !errors.Is(err, subjects.ErrPlugin) || !strings.Contains(err.Error(), `the test has no handler for https://en.wikipedia.org: call Host.HTTP("https://en.wikipedia.org", …)`) {
		t.Errorf("got %v", err)
	}
	if made := host.Requests(); len(made) != 1 || made[0].URL != "https://en.wikipedia.org/api/rest_v1/page/summary/Kiss" {
		t.Errorf("requested was %+v", made)
	}
}

func TestSchemesAndPortsMakeDifferentOrigins(t *testing.T) {
	t.Parallel()
	host := example(t, "webhook")
	webhook(t, host) // at https
	for address, want := range map[string]bool{
		"https://hooks.example.com:443/x": true, "https://HOOKS.example.com": true,
		"http://hooks.example.com/x": false, "https://hooks.example.com:8443/x": false, "http://hooks.example.com:443/x": false, "https://example.com/x": false,
	} {
		host.SetConfig("url", address)
		if _, err := host.Scrobbler().Scrobble(t.Context(), &api.ScrobblerScrobbleRequest{}); (err == nil) != want {
			t.Errorf("%s: got %v", address, err)
		}
	}
}

func TestARequestMeetsWhatAServerCanDo(t *testing.T) {
	t.Parallel()
	host := example(t, "wikipedia")
	for _, test := range []struct {
		name    string
		handler http.HandlerFunc
		want    string
	}{
		{"an error", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "away", http.StatusServiceUnavailable) }, "status 503: away"},
		{"a broken connection", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "EOF"},
		{"no answer", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "deadline exceeded"},
		{"a redirect to where it may not go", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://example.com/", http.StatusFound)
		}, "Request blocked by plugin permissions: redirect: "},
		{"a body over the limit", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 10<<20+1)) }, "over the limit of 10485760 bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			host.HTTP("https://en.wikipedia.org", test.handler)
			if _, err := ask(t, host, "Kiss"); !errors.Is(err, subjects.ErrPlugin) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestARedirectLeadsToAnotherHandler(t *testing.T) {
	t.Parallel()
	host := example(t, "wikipedia")
	host.HTTP("https://en.wikipedia.org", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://de.wikipedia.org"+r.URL.Path, http.StatusFound)
	}))
	host.HTTP("https://de.wikipedia.org", page("Sie sang."))
	if got, err := ask(t, host, "Nina Simone"); err != nil || got != "Sie sang." {
		t.Errorf("got %q, %v", got, err)
	}
	if n := len(host.Requests()); n != 2 {
		t.Errorf("there were %d requests, want 2", n)
	}
}

func TestManyCallsAtTheSameTime(t *testing.T) {
	t.Parallel()
	host := example(t, "wikipedia")
	host.HTTP("https://en.wikipedia.org", page("She sang."))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 5 {
				if got, err := ask(t, host, "Nina Simone"); err != nil || got != "She sang." {
					t.Errorf("got %q, %v", got, err)
				}
			}
		})
	}
	all.Wait()
}

func TestWhatIsNoOriginFailsTheTest(t *testing.T) {
	t.Parallel()
	for _, origin := range []string{"", "api.example.com", "ftp://example.com", "https://example.com/path", "https://example.com?q", "://"} {
		says := fatal(t, func(tb testing.TB) { example(tb, "minimal").HTTP(origin, http.NotFoundHandler()) })
		if !strings.Contains(says, "is no origin") {
			t.Errorf("%q: got %q", origin, says)
		}
	}
}

// A plugin that keeps an album quiet for an hour by its cache.
func TestNowplayingPostsACardWithTheCover(t *testing.T) {
	t.Parallel()
	host := example(t, "nowplaying")
	host.SetConfig("url", "https://discord.com/api/webhooks/1/x")
	host.SetShareURL("https://music.example.com")
	var cards []string
	host.HTTP("https://discord.com", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var card struct {
			Embeds []struct {
				Title     string
				Thumbnail struct{ URL string }
			}
		}
		if err := json.NewDecoder(r.Body).Decode(&card); err != nil {
			t.Error(err)
			return
		}
		cards = append(cards, card.Embeds[0].Title+" "+card.Embeds[0].Thumbnail.URL)
		w.WriteHeader(http.StatusNoContent)
	}))
	navidrome := http.NewServeMux()
	navidrome.HandleFunc("GET /rest/getSong", func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, `{"subsonic-response":{"status":"ok","song":{"title":"Sinnerman of %s","artist":"Nina Simone","albumId":"al1"}}}`, r.Header.Get("Remote-User"))
	})
	host.Subsonic(navidrome)
	play := func() {
		t.Helper()
		request := &api.ScrobblerNowPlayingRequest{UserId: "u1", Username: "joe", Track: &api.TrackInfo{Id: "t1", Name: "Sinnerman"}}
		if _, err := host.Scrobbler().NowPlaying(t.Context(), request); err != nil {
			t.Fatal(err)
		}
	}
	play()
	play()
	want := "Nina Simone – Sinnerman of joe " + host.ArtworkURL("album", "al1", 300)
	if len(cards) != 1 || cards[0] != want {
		t.Errorf("got %q, want %q once", cards, want)
	}
	advance(t, host, time.Hour)
	play()
	if len(cards) != 2 {
		t.Errorf("%d cards after an hour, want 2", len(cards))
	}
}
