package plugintest_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestASubsonicCallReachesTheHandler(t *testing.T) {
	t.Parallel()
	host := services(t, nil)
	call := command{Do: "call", URL: "/rest/ping?u=joe&x=a%20b&p=secret"}
	if r := do(t, host, call); r.Error != "SubsonicAPI router not available" {
		t.Errorf("without a handler: %+v", r)
	}
	host.Subsonic(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/rest/getUser" {
			http.NotFound(w, r)
			return
		}
		w.WriteHeader(http.StatusTeapot)
		_, _ = fmt.Fprint(w, r.Method, " ", r.URL, " of ", r.Header.Get("Remote-User"))
	}))
	if r := do(t, host, call); r.Error != "" || r.Value != "GET /rest/ping?c=services&f=json&u=joe&v=1.16.1&x=a%20b of joe" {
		t.Errorf("got %+v", r)
	}
	host.Subsonic(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	if r := do(t, host, call); !strings.Contains(r.Error, "navidrome is unavailable") {
		t.Errorf("a broken connection: %+v", r)
	}
}

func TestTheManifestSaysAsWhomThePluginCalls(t *testing.T) {
	t.Parallel()
	host := services(t, map[string]any{"reason": "r", "allowedUsernames": []string{"joe", "ann"}})
	host.Subsonic(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user := r.URL.Query().Get("u")
		_, _ = fmt.Fprintf(w, `{"subsonic-response":{"status":"ok","user":{"username":%q,"adminRole":%v}}}`, user, user == "ann")
	}))
	for user, want := range map[string]string{"joe": "", "ann": "calling SubsonicAPI as admin user is not allowed", "bob": "username bob is not allowed"} {
		if r := do(t, host, command{Do: "call", URL: "/rest/ping?u=" + user}); r.Error != want {
			t.Errorf("%s: got %+v, want %q", user, r, want)
		}
	}
}

func TestArtworkHasTheAddressesOfAHost(t *testing.T) {
	t.Parallel()
	host := services(t, nil)
	for _, share := range []string{"", "https://music.example.com/nd/"} {
		begin := "http://localhost/artwork/"
		if share != "" {
			host.SetShareURL(share)
			begin = "https://music.example.com/nd/artwork/"
		}
		for _, kind := range []string{"artist", "album", "track"} {
			r := do(t, host, command{Do: kind, ID: "x1", Size: 300})
			if r.Value != host.ArtworkURL(kind, "x1", 300) || !strings.HasPrefix(r.Value, begin) {
				t.Errorf("%s: got %+v", kind, r)
			}
		}
	}
	if host.ArtworkURL("album", "x1", 0) == host.ArtworkURL("album", "x1", 300) {
		t.Error("all sizes have one address")
	}
}

func TestAnArtworkThatIsNoneFailsTheCall(t *testing.T) {
	t.Parallel()
	if r := do(t, services(t, nil), command{Do: "album", ID: strings.Repeat("x", 513)}); !strings.Contains(r.Error, "an id of 513 bytes is over the limit") {
		t.Errorf("got %+v", r)
	}
}
