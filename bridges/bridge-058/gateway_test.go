package main_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/pluginhost/pluginhost/config"
	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, testenv.LatePublisher()) }

// maxExtracted is how much of a file Navidrome takes out of a package: of a longer one it drops the rest without a word.
const maxExtracted = 10 << 20

// odd is an id with what a path must not have.
const odd = "a b%2Fü?#"

// build compiles the plugin in a package.
func build(t *testing.T, pkg string) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), path.Base(pkg)+".wasm")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-buildmode=c-shared", "-trimpath", "-buildvcs=false", "-ldflags=-w", "-o", file, pkg) // as plugin build
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=")
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	wasm, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

// wiki answers as Wikipedia does.
func wiki(t *testing.T) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch title := path.Base(r.URL.Path); title {
		case "Nina_Simone":
			_, _ = fmt.Fprint(w, `{"type":"standard","description":"American singer","extract":"She sang."}`)
		case "Down":
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return server
}

// door is a pluginhost with examples, as a bridge sees it.
type door struct {
	url    string
	client *client.Client
}

// open starts one.
func open(t *testing.T) door {
	t.Helper()
	upstream, folder, nats := wiki(t), t.TempDir(), testenv.NATS(t)
	minimal := build(t, "github.com/pluginhost/pluginhost/examples/minimal")
	for _, id := range []string{"minimal", odd} {
		testenv.AddPlugin(t, folder, id, testenv.Manifest(nil, "MetadataAgent"), minimal)
	}
	testenv.AddPlugin(t, folder, "wikipedia", testenv.Manifest(map[string]any{
		"http":   map[string]any{"reason": "test", "allowedUrls": map[string]any{upstream.URL + "/*": []string{"GET"}}, "allowLocalNetwork": true},
		"config": map[string]any{"reason": "test"},
	}, "MetadataAgent"), build(t, "github.com/pluginhost/pluginhost/examples/wikipedia"))
	testenv.AddPlugin(t, folder, "stuck", testenv.Manifest(nil, "MetadataAgent"), guests.Handmade{Body: guests.Loop}.Bytes())
	settings := testenv.Config(t, nats, folder)
	settings.Agents = config.Agents{Order: []string{"minimal", "wikipedia"}, Only: true}
	settings.HTTP.Listen = "127.0.0.1:0"
	settings.PluginConfig = map[string]map[string]string{"wikipedia": {"base_url": upstream.URL, "suffixes": ""}}
	r := testenv.Start(t, settings, nil)
	return door{url: "http://" + r.HTTPAddress(), client: client.New(testenv.Connect(t, nats))}
}

// token makes one.
func (d door) token(t *testing.T, grant subjects.AccessTokenGrant) string {
	t.Helper()
	secret, _, err := d.client.CreateAccessToken(t.Context(), grant)
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

// behind is a proxy that has the pluginhost at a path of its own.
func (d door) behind(t *testing.T, at string) string {
	t.Helper()
	target, err := url.Parse(d.url)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle(at+"/", http.StripPrefix(at, &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}))
	proxy := httptest.NewServer(mux)
	t.Cleanup(proxy.Close)
	return proxy.URL + at
}

// nobody is an address where nobody listens any more.
func nobody() string {
	server := httptest.NewServer(nil)
	server.Close()
	return server.URL
}

// A host of that generation, with a bridge in each of several folders, asks a pluginhost that it shares nothing with.
func TestBridgesAskThroughAGateway(t *testing.T) {
	t.Parallel()
	wasm := build(t, ".")
	if len(wasm) > maxExtracted {
		t.Errorf("the module has %d bytes: Navidrome takes %d out of a package", len(wasm), maxExtracted)
	}
	manifest, err := os.ReadFile("manifest.json")
	if err != nil {
		t.Fatal(err)
	}
	there := open(t)
	call := there.token(t, subjects.AccessTokenGrant{Scopes: []subjects.AccessScope{subjects.ScopeCall}})
	bridges := map[string]map[string]string{
		"set":     {"url": there.url, "token": call},
		"minimal": {"url": there.url, "token": call, "plugin": "minimal"},
		"odd":     {"url": there.url, "token": call, "plugin": odd},
		"wiki":    {"url": there.url + "/", "token": there.token(t, subjects.AccessTokenGrant{Scopes: []subjects.AccessScope{subjects.ScopeCall}, Plugin: "wikipedia"}), "plugin": "wikipedia"},
		"proxied": {"url": there.behind(t, "/pluginhost"), "token": call, "plugin": "minimal"},
		"hasty":   {"url": there.url, "token": call, "plugin": "stuck", "timeout": "300ms"},
		"unknown": {"url": there.url, "token": call, "plugin": "nobody"},
		"viewer":  {"url": there.url, "token": there.token(t, subjects.AccessTokenGrant{Scopes: []subjects.AccessScope{subjects.ScopeView}})},
		"other":   {"url": there.url, "token": there.token(t, subjects.AccessTokenGrant{Scopes: []subjects.AccessScope{subjects.ScopeCall}, Plugin: "minimal"})},
		"forged":  {"url": there.url, "token": token},
		"astray":  {"url": there.url + "/v1", "token": call},
		"alone":   {"url": nobody(), "token": call},
	}
	nats, folder := testenv.NATS(t), t.TempDir()
	for id := range bridges {
		testenv.AddPlugin(t, folder, id, manifest, wasm)
	}
	settings := testenv.Config(t, nats, folder)
	settings.PluginConfig = bridges
	testenv.Start(t, settings, nil)
	here := client.New(testenv.Connect(t, nats))

	for _, test := range []struct {
		bridge, artist string
		biography      string
		url            string
		is             error    // of the biography, or of the URL if there is one
		want           []string // parts of an error of the plugin's own
	}{
		{bridge: "set", artist: "Nina Simone", biography: "She sang."},
		{bridge: "set", artist: "Nina Simone", url: "https://musicbrainz.org/artist/42"},
		{bridge: "set", artist: "Nobody", is: api.ErrNotFound},
		{bridge: "wiki", artist: "Nina Simone", biography: "She sang."},
		{bridge: "wiki", artist: "Nobody", is: api.ErrNotFound},
		{bridge: "wiki", artist: "Down", want: []string{`asked for the plugin "wikipedia": 500 plugin_error: `, "status 503"}},
		{bridge: "minimal", artist: "Nina Simone", is: api.ErrNotImplemented},
		{bridge: "minimal", artist: "Nina Simone", url: "https://musicbrainz.org/artist/42"},
		{bridge: "odd", artist: "Nina Simone", url: "https://musicbrainz.org/artist/42"},
		{bridge: "proxied", artist: "Nina Simone", url: "https://musicbrainz.org/artist/42"},
		{bridge: "hasty", artist: "X", want: []string{"408 deadline_exceeded: ", "it had 300ms, which timeout in [PluginConfig.<folder name>] can change"}},
		{bridge: "unknown", artist: "X", want: []string{`asked for the plugin "nobody": 503 unavailable: `, "must be an id that pluginhost plugin list shows"}},
		{bridge: "viewer", artist: "X", want: []string{"403 forbidden: ", "must have the scope call"}},
		{bridge: "other", artist: "X", want: []string{"403 forbidden: ", "minimal"}},
		{bridge: "forged", artist: "X", want: []string{"401 unauthorized: ", "pluginhost token create --scope call"}},
		{bridge: "astray", artist: "X", want: []string{"404 no_such_path: ", "must end where /v1 begins"}},
		{bridge: "alone", artist: "X", want: []string{"no answer: ", "refused", "Set url"}},
	} {
		t.Run(test.bridge+" for "+test.artist, func(t *testing.T) {
			agent := here.MetadataAgent(test.bridge)
			if test.url != "" {
				got, err := agent.GetArtistURL(t.Context(), &api.ArtistURLRequest{Name: test.artist, Mbid: "42"})
				if err != nil || got.Url != test.url {
					t.Errorf("got %v, %v, want %s", got, err, test.url)
				}
				return
			}
			got, err := agent.GetArtistBiography(t.Context(), &api.ArtistBiographyRequest{Name: test.artist})
			switch {
			case test.biography != "":
				if err != nil || got.Biography != test.biography {
					t.Errorf("got %v, %v, want %q", got, err, test.biography)
				}
			case test.is != nil && !errors.Is(err, test.is):
				t.Errorf("got %v, want %v", err, test.is)
			case test.is == nil:
				wantFailure(t, err, nil, test.want)
			}
		})
	}
}
