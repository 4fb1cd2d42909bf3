package navidrome_test

import (
	"bytes"
	"context"
	"encoding/json"
	"image/png"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/pluginhost/pluginhost/testenv/navidrome"
)

type answer struct {
	status int
	kind   string
	body   []byte
}

// get asks as a user; the empty user is nobody.
func get(t *testing.T, f *navidrome.Fake, user, pathAndQuery string) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.URL+pathAndQuery, nil)
	if err != nil {
		t.Fatal(err)
	}
	if user != "" {
		request.Header.Set(f.UserHeader, user)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header.Get("Content-Type"), body}
}

// outcome is the status of a Subsonic answer in JSON, and the code of its error.
func (a answer) outcome(t *testing.T) (string, int) {
	t.Helper()
	var reply struct {
		Response struct {
			Status string
			Error  struct{ Code int }
		} `json:"subsonic-response"`
	}
	if err := json.Unmarshal(a.body, &reply); err != nil {
		t.Fatalf("%v in %q", err, a.body)
	}
	return reply.Response.Status, reply.Response.Error.Code
}

func TestWhoMayAskWhat(t *testing.T) {
	trusting, suspicious := navidrome.Start(t), navidrome.Start(t, navidrome.WithoutTrust())
	const client = "v=1.16.1&c=test&f=json"
	for _, test := range []struct {
		name, user, request string
		server              *navidrome.Fake
		code                int
	}{
		{"a known user", "joe", "ping?" + client, trusting, 0},
		{"whatever the case", "JOE", "ping.view?" + client, trusting, 0},
		{"an unknown user", "eve", "ping?" + client, trusting, 40},
		{"no user", "", "ping?" + client, trusting, 10},
		{"no header but a password", "", "ping?u=joe&p=x&" + client, trusting, 40},
		{"no version", "joe", "ping?c=test&f=json", trusting, 10},
		{"no client", "joe", "ping?v=1.16.1&f=json", trusting, 10},
		{"an address that is not trusted", "joe", "ping?u=joe&" + client, suspicious, 40},
		{"himself", "joe", "getUser?username=Joe&" + client, trusting, 0},
		{"somebody else", "joe", "getUser?username=bob&" + client, trusting, 50},
		{"somebody unknown", "joe", "getUser?username=eve&" + client, trusting, 50},
		{"an admin about somebody else", "alice", "getUser?username=bob&" + client, trusting, 0},
		{"an admin about somebody unknown", "alice", "getUser?username=eve&" + client, trusting, 70},
		{"the song", "joe", "getSong?id=t1&" + client, trusting, 0},
		{"another song", "joe", "getSong?id=t2&" + client, trusting, 70},
		{"albums", "joe", "getAlbumList2?type=newest&" + client, trusting, 0},
		{"another cover", "joe", "getCoverArt?id=al-al2_0&" + client, trusting, 70},
	} {
		got := get(t, test.server, test.user, "/rest/"+test.request)
		status, code := got.outcome(t)
		want := map[bool]string{true: "ok", false: "failed"}[test.code == 0]
		if got.status != http.StatusOK || status != want || code != test.code {
			t.Errorf("%s: got HTTP %d, %s, error %d; want %s, error %d", test.name, got.status, status, code, want, test.code)
		}
	}
}

func TestAUserComesInItsStoredSpelling(t *testing.T) {
	got := get(t, navidrome.Start(t), "ALICE", "/rest/getUser?username=aLiCe&v=1&c=t&f=json")
	if body := string(got.body); !strings.Contains(body, `"username":"alice"`) || !strings.Contains(body, `"adminRole":true`) {
		t.Fatal(body)
	}
}

func TestPlainAnswers(t *testing.T) {
	f := navidrome.Start(t, navidrome.WithBasePath("/music/"))
	if !strings.HasSuffix(f.URL, "/music") {
		t.Fatalf("got %s", f.URL)
	}
	for path, status := range map[string]int{
		"/rest/jukeboxControl?v=1&c=t": 501,
		"/rest/getPodcasts?v=1&c=t":    501,
		"/rest/search?v=1&c=t":         410,
		"/rest/fly":                    404,
		"/app":                         404,
	} {
		if got := get(t, f, "joe", path); got.status != status || !strings.HasPrefix(got.kind, "text/plain") {
			t.Errorf("%s: got %d %s, want %d", path, got.status, got.kind, status)
		}
	}
	if got := get(t, f, "joe", "/rest/ping?v=1&c=t"); !strings.Contains(string(got.body), `status="ok"`) || got.kind != "application/xml" {
		t.Errorf("got %s %s, want XML", got.kind, got.body)
	}
}

func TestCoversAreImagesOfTheSizeAskedFor(t *testing.T) {
	f := navidrome.Start(t)
	for query, side := range map[string]int{
		"id=al-al1_0": 300, "id=ar-ar1_0&size=64": 64, "id=mf-t1&size=0": 300, "id=mf-t1_6a0f&size=5000": 1000,
	} {
		got := get(t, f, "joe", "/rest/getCoverArt?v=1&c=t&"+query)
		image, err := png.DecodeConfig(bytes.NewReader(got.body))
		if err != nil || image.Width != side || got.kind != "image/png" {
			t.Errorf("%s: got %s of width %d, error %v; want %d", query, got.kind, image.Width, err, side)
		}
	}
}

func TestAScrobbleCallsTheHookAndCounts(t *testing.T) {
	var seen string
	f := navidrome.Start(t, navidrome.WithScrobble(func(user string, r *http.Request) {
		seen = user + " " + r.Form.Get("id") + " " + r.Header.Get("Pluginhost-Via")
	}))
	get(t, f, "Joe", "/rest/scrobble?id=t1&v=1&c=t")
	if seen != "joe t1 " {
		t.Errorf("got %q", seen)
	}
	if got := get(t, f, "joe", "/rest/getSong?id=t1&v=1&c=t&f=json"); !strings.Contains(string(got.body), `"playCount":1`) {
		t.Errorf("got %s", got.body)
	}
	if got := f.Requests(); len(got) != 2 || got[0].Endpoint != "scrobble" || got[0].User != "Joe" || got[0].Query.Get("id") != "t1" {
		t.Errorf("got %+v", got)
	}
}

func TestStopAndRestartKeepTheAddress(t *testing.T) {
	f := navidrome.Start(t, navidrome.WithHandler(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Over", "yes")
			next.ServeHTTP(w, r)
		})
	}))
	f.Stop()
	f.Stop()
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, f.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	if response, err := (&http.Transport{}).RoundTrip(request); err == nil {
		_ = response.Body.Close()
		t.Error("a stopped server answered")
	}
	f.Restart()
	f.Restart()
	if got := get(t, f, "joe", "/rest/ping?v=1&c=t&f=json"); got.status != http.StatusOK {
		t.Errorf("got %d after the restart", got.status)
	}
}
