package examples_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/tetratelabs/wazero"
	wazeroapi "github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/pluginhost/pluginhost/config"
	"github.com/pluginhost/pluginhost/sdk/api"
	apiconfig "github.com/pluginhost/pluginhost/sdk/api/host/config"
	apihttp "github.com/pluginhost/pluginhost/sdk/api/host/http"
	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
	"github.com/pluginhost/pluginhost/wasmrt"
)

// TestLastfm is about the example that is not in Go: it has the binary interface
// from the authors' guide, and not from this module.
func TestLastfm(t *testing.T) {
	t.Parallel()
	wasm := buildLastfm(t)
	for name, check := range map[string]func(*testing.T, []byte){
		"its module has the interface that the guide describes":      checkLastfmInterface,
		"artists are found, whatever their name is written in":       checkLastfmArtists,
		"nothing there is told from could not look":                  checkLastfmNotFound,
		"failures say what is wrong, and keep the API key":           checkLastfmFailures,
		"answers of any shape do no harm":                            checkLastfmAnswers,
		"requests of any bytes do no harm":                           checkLastfmRequests,
		"other methods are not implemented":                          checkLastfmNotImplemented,
		"calls at once do not mix":                                   checkLastfmCallsAtOnce,
		"an instance that is never restored frees what it was given": checkLastfmMemory,
	} {
		t.Run(name, func(t *testing.T) { check(t, wasm) })
	}
}

func TestGuideBuildsLastfmAsItsPackageDoes(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile(filepath.Join("lastfm", "package.json"))
	if err != nil {
		t.Fatal(err)
	}
	var manifest struct{ Scripts struct{ Build string } }
	if err := json.Unmarshal(content, &manifest); err != nil {
		t.Fatal(err)
	}
	guide, err := os.ReadFile(filepath.Join(guests.Root(), "docs", "plugin-abi.md"))
	if err != nil {
		t.Fatal(err)
	}
	words := strings.Fields(strings.ReplaceAll(string(guide), "\\\n", " "))
	if build := manifest.Scripts.Build; build == "" || !strings.Contains(strings.Join(words, " "), build) {
		t.Errorf("the guide does not have the command %q", build)
	}
}

// buildLastfm builds the example as its README says, in a folder of the test.
func buildLastfm(t *testing.T) []byte {
	t.Helper()
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("REQUIRE_NODE") != "" {
				t.Fatal(err)
			}
			t.Skip(err)
		}
	}
	source, work := filepath.Join(guests.Root(), "examples", "lastfm"), t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json"} {
		content, err := os.ReadFile(filepath.Join(source, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(work, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS(filepath.Join(work, "assembly"), os.DirFS(filepath.Join(source, "assembly"))); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"ci", "--no-audit", "--no-fund", "--loglevel=error"}, {"run", "build"}} {
		cmd := exec.Command("npm", args...)
		cmd.Dir = work
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("npm %v: %v\n%s", args, err, out)
		}
	}
	wasm, err := os.ReadFile(filepath.Join(work, "plugin.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

const lastfmKey = "0123456789abcdef0123456789abcdef"

// hostLastfm runs the example on a replica, with entries over those that it needs.
func hostLastfm(t *testing.T, wasm []byte, upstream *httptest.Server, entries map[string]string, changes ...func(*config.Config)) *client.Client {
	t.Helper()
	folder := t.TempDir()
	testenv.AddPlugin(t, folder, "lastfm", reaching(t, "lastfm", upstream), wasm)
	settings := map[string]string{"api_key": lastfmKey, "base_url": upstream.URL + "/2.0/"}
	for key, value := range entries {
		settings[key] = value
	}
	host := testenv.Config(t, testenv.NATS(t), folder)
	host.PluginConfig = map[string]map[string]string{"lastfm": settings}
	for _, change := range changes {
		change(&host)
	}
	testenv.Start(t, host, nil)
	return client.New(testenv.Connect(t, host.NATS.URL))
}

// serveLastfm stands in for Last.fm: it knows every artist but those that knows
// denies.
func serveLastfm(t *testing.T, knows func(query url.Values) bool) *httptest.Server {
	t.Helper()
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		name := query.Get("artist") + query.Get("mbid")
		var answer any
		switch {
		case r.URL.Path != "/2.0/" || query.Get("method") != "artist.getinfo" || query.Get("format") != "json" || r.Header.Get("User-Agent") == "":
			http.Error(w, "no", http.StatusBadRequest)
			return
		case query.Get("api_key") != lastfmKey:
			w.WriteHeader(http.StatusForbidden)
			answer = map[string]any{"error": 10, "message": "Invalid API key"}
		case !knows(query):
			w.WriteHeader(http.StatusNotFound)
			answer = map[string]any{"error": 6, "message": "The artist you supplied could not be found"}
		default:
			answer = lastfmArtist(name, query.Get("lang"))
		}
		_ = json.NewEncoder(w).Encode(answer)
	}))
	t.Cleanup(upstream.Close)
	return upstream
}

// lastfmArtist is an answer in which names and addresses of others come before
// and after the artist's own.
func lastfmArtist(name, language string) map[string]any {
	var similar []map[string]any
	for n := range 5 {
		similar = append(similar, map[string]any{"name": fmt.Sprintf("like %s %d", name, n), "url": "https://other.example"})
	}
	return map[string]any{"artist": map[string]any{
		"name": name, "url": lastfmPage(name), "similar": map[string]any{"artist": similar}, "tags": map[string]any{"tag": []any{}},
		"bio": map[string]any{"summary": fmt.Sprintf("%s, in %s.\t\"Quoted\" \\ <a href=%q>Read more on Last.fm</a>", name, language, lastfmPage(name))},
	}}
}

func lastfmPage(name string) string { return "https://www.last.fm/music/" + url.PathEscape(name) }

func everyArtist(url.Values) bool { return true }

func checkLastfmInterface(t *testing.T, wasm []byte) {
	runtime := wazero.NewRuntime(t.Context())
	defer func() { _ = runtime.Close(t.Context()) }()
	compiled, err := runtime.CompileModule(t.Context(), wasm)
	if err != nil {
		t.Fatal(err)
	}
	var imports []string
	for _, function := range compiled.ImportedFunctions() {
		module, name, _ := function.Import()
		imports = append(imports, module+"."+name)
	}
	slices.Sort(imports)
	if want := []string{"env.get", "env.get_plugin_config", "wasi_snapshot_preview1.fd_write"}; !slices.Equal(imports, want) || len(compiled.ImportedMemories()) > 0 {
		t.Errorf("it imports %q, want %q", imports, want)
	}
	module, err := wasmrt.Inspect(wasm, wasmrt.GoPlugin{}, wasmrt.Limits{})
	if err != nil || module.Isolation != wasmrt.IsolationClean || module.Reason != "" {
		t.Errorf("got %+v, %v", module, err)
	}
}

func checkLastfmArtists(t *testing.T, wasm []byte) {
	var mu sync.Mutex
	asked := map[string]bool{}
	upstream := serveLastfm(t, func(query url.Values) bool {
		mu.Lock()
		defer mu.Unlock()
		asked[query.Get("artist")] = true
		return query.Get("mbid") != "unknown"
	})
	agent := hostLastfm(t, wasm, upstream, map[string]string{"language": "de"}).MetadataAgent("lastfm")
	for _, name := range []string{"Nina Simone", "Björk", "Кино", "椎名林檎", "𝄞 Clef", "AC/DC", "a&b=c?#%+ d", "<a href=", "e\u0301", "\u007f\u0001"} {
		t.Run(name, func(t *testing.T) {
			answer, err := agent.GetArtistBiography(t.Context(), &api.ArtistBiographyRequest{Id: "1", Name: name, Mbid: "unknown"})
			if want := name + ", in de.\t\"Quoted\" \\"; err != nil || answer.Biography != want {
				t.Errorf("got %v, %v, want %q", answer, err, want)
			}
			address, err := agent.GetArtistURL(t.Context(), &api.ArtistURLRequest{Name: name})
			if want := lastfmPage(name); err != nil || address.Url != want {
				t.Errorf("got %v, %v, want %q", address, err, want)
			}
			if mu.Lock(); !asked[name] {
				t.Errorf("asked for %v", asked)
			}
			mu.Unlock()
		})
	}
	byID, err := agent.GetArtistURL(t.Context(), &api.ArtistURLRequest{Name: "Nina Simone", Mbid: "9b1a"})
	if want := lastfmPage("9b1a"); err != nil || byID.Url != want {
		t.Errorf("got %v, %v, want the artist of the MusicBrainz id, %q", byID, err, want)
	}
	for limit, want := range map[int32]int{0: 5, 2: 2, 9: 5, -1: 5} {
		similar, err := agent.GetSimilarArtists(t.Context(), &api.ArtistSimilarRequest{Name: "Björk", Limit: limit})
		if err != nil || len(similar.Artists) != want || similar.Artists[1].Name != "like Björk 1" {
			t.Errorf("limit %d: got %v, %v, want %d", limit, similar, err, want)
		}
	}
}

func checkLastfmNotFound(t *testing.T, wasm []byte) {
	agent := hostLastfm(t, wasm, serveLastfm(t, func(url.Values) bool { return false }), nil).MetadataAgent("lastfm")
	for _, name := range []string{"Nobody", "", " ", strings.Repeat("x", 1000)} {
		if _, err := agent.GetArtistURL(t.Context(), &api.ArtistURLRequest{Name: name, Mbid: "unknown"}); !errors.Is(err, api.ErrNotFound) {
			t.Errorf("%.20q: got %v, want ErrNotFound", name, err)
		}
	}
}

func checkLastfmFailures(t *testing.T, wasm []byte) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for name, c := range map[string]struct {
		entries map[string]string
		want    string
	}{
		"no key":                 {map[string]string{"api_key": ""}, "api_key is not set"},
		"a key with a space":     {map[string]string{"api_key": "a b"}, "api_key has characters"},
		"a wrong key":            {map[string]string{"api_key": "wrong"}, "error 10: Invalid API key"},
		"a bad language":         {map[string]string{"language": "d&"}, "language is no code"},
		"a bad address":          {map[string]string{"base_url": "ftp://x"}, "base_url does not begin"},
		"an address not granted": {map[string]string{"base_url": "https://other.example/"}, "blocked by plugin permissions"},
		"nobody there":           {map[string]string{"base_url": gone.URL}, "Last.fm: "},
	} {
		t.Run(name, func(t *testing.T) {
			upstream := serveLastfm(t, everyArtist)
			if name == "nobody there" {
				upstream = gone
			}
			agent := hostLastfm(t, wasm, upstream, c.entries).MetadataAgent("lastfm")
			_, err := agent.GetArtistURL(t.Context(), &api.ArtistURLRequest{Name: "Nina Simone"})
			if !errors.Is(err, subjects.ErrPlugin) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), lastfmKey) {
				t.Errorf("got %v, want an error of the plugin's own with %q", err, c.want)
			}
		})
	}
}

func checkLastfmAnswers(t *testing.T, wasm []byte) {
	cases := map[string]struct {
		status int // 0 is 200
		body   string
		want   string // the biography, or the text of the error
		err    error
	}{
		"an artist":                    {body: `{"artist":{"bio":{"summary":"text"}}}`, want: "text"},
		"white space and all values":   {body: " {\r\n\t\"a\" : [ -1.5e+3 , true,false,null,[],{} ] , \"artist\":{\"bio\":{\"summary\":\"text\"} } } ", want: "text"},
		"escapes":                      {body: `{"artist":{"bio":{"summary":"\"\\\/\b\f\n\r\t\u00e9\uD834\uDD1E."}}}`, want: "\"\\/\b\f\n\r\té𝄞."},
		"half a pair":                  {body: `{"artist":{"bio":{"summary":"a\uD834z"}}}`, want: "a\uFFFDz"},
		"a key twice":                  {body: `{"artist":{"bio":{"summary":"one","summary":"two"}}}`, want: "two"},
		"an escaped key":               {body: `{"artist":{"b\u0069o":{"summary":"text"}}}`, want: "text"},
		"a long text":                  {body: `{"artist":{"bio":{"summary":"` + strings.Repeat("𝄞", 50_000) + `"}}}`, want: strings.Repeat("𝄞", 1999) + "…"},
		"nested as deep as may be":     {body: `{"x":` + strings.Repeat("[", 31) + strings.Repeat("]", 31) + `,"artist":{"bio":{"summary":"text"}}}`, want: "text"},
		"a link only":                  {body: `{"artist":{"bio":{"summary":" <a href=\"x\">Read more</a>"}}}`, err: api.ErrNotFound},
		"no biography":                 {body: `{"artist":{}}`, err: api.ErrNotFound},
		"a biography of another shape": {body: `{"artist":{"bio":[1]}}`, err: api.ErrNotFound},
		"not found with status 200":    {body: `{"error":6,"message":"no"}`, err: api.ErrNotFound},
		"another error":                {status: 429, body: `{"error":29,"message":"Rate limit exceeded"}`, want: "error 29: Rate limit exceeded", err: subjects.ErrPlugin},
		"a status":                     {status: 503, body: "<html>", want: "status 503", err: subjects.ErrPlugin},
		"a status and an artist":       {status: 500, body: `{"artist":{"bio":{"summary":"text"}}}`, want: "status 500", err: subjects.ErrPlugin},
		"nothing":                      {body: "", want: "not JSON", err: subjects.ErrPlugin},
		"no JSON":                      {body: "<html>", want: "not JSON", err: subjects.ErrPlugin},
		"cut off":                      {body: `{"artist":{"bio":{"summ`, want: "not JSON", err: subjects.ErrPlugin},
		"cut off in an escape":         {body: `{"artist":"\u00`, want: "not JSON", err: subjects.ErrPlugin},
		"more than one value":          {body: `{} {}`, want: "not JSON", err: subjects.ErrPlugin},
		"a comma too many":             {body: `{"a":[1,]}`, want: "not JSON", err: subjects.ErrPlugin},
		"a number without digits":      {body: `{"a":-}`, want: "not JSON", err: subjects.ErrPlugin},
		"a line break in a text":       {body: "{\"a\":\"\n\"}", want: "not JSON", err: subjects.ErrPlugin},
		"nested too deeply":            {body: strings.Repeat(`[`, 200_000), want: "not JSON", err: subjects.ErrPlugin},
		"not UTF-8":                    {body: "{\"artist\":\"\xff\"}", want: "not JSON", err: subjects.ErrPlugin},
		"surrogates in UTF-8":          {body: "{\"artist\":\"\xed\xa0\x80\"}", want: "not JSON", err: subjects.ErrPlugin},
		"too long":                     {body: `"` + strings.Repeat("x", 256<<10) + `"`, want: "more than 262144 bytes", err: subjects.ErrPlugin},
		"another document":             {body: `[{"artist":{}}]`, want: "no artist", err: subjects.ErrPlugin},
	}
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := cases[r.URL.Query().Get("artist")]
		w.WriteHeader(max(c.status, http.StatusOK))
		_, _ = w.Write([]byte(c.body))
	}))
	t.Cleanup(upstream.Close)
	bus := hostLastfm(t, wasm, upstream, nil)
	agent := bus.MetadataAgent("lastfm")
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			answer, err := agent.GetArtistBiography(t.Context(), &api.ArtistBiographyRequest{Name: name})
			if c.err == nil && (err != nil || answer.Biography != c.want) {
				t.Errorf("got %.100v, %v", answer, err)
			}
			if c.err != nil && (!errors.Is(err, c.err) || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %v with %q", err, c.err, c.want)
			}
		})
	}
	wantIsolation(t, bus, config.IsolationClean)
}

func checkLastfmRequests(t *testing.T, wasm []byte) {
	bus := hostLastfm(t, wasm, serveLastfm(t, func(url.Values) bool { return false }), nil)
	whole, err := (&api.ArtistSimilarRequest{Id: "1", Name: "Björk", Mbid: "42", Limit: -5}).MarshalVT()
	if err != nil {
		t.Fatal(err)
	}
	call := func(request []byte) error {
		_, err := bus.Call(t.Context(), "lastfm", "get_similar_artists", request)
		return err
	}
	// What is no message of the contract is an error, and unknown fields are none.
	for name, c := range map[string]struct {
		request []byte
		want    error
	}{
		"a message":                       {whole, api.ErrNotFound},
		"nothing":                         {nil, api.ErrNotFound},
		"unknown fields of every layout":  {append(slices.Clone(whole), "\x78\x01\x79........\x7d....\x82\x01\x02ab"...), api.ErrNotFound},
		"a known field of another layout": {[]byte("\x10\x01"), api.ErrNotFound},
		"cut off":                         {whole[:len(whole)-1], subjects.ErrPlugin},
		"a length beyond the end":         {[]byte("\x12\xff\xff\xff\xff\x0fab"), subjects.ErrPlugin},
		"a length that leads back":        {[]byte("\x12\xf5\xff\xff\xff\xff\xff\xff\xff\xff\x01"), subjects.ErrPlugin}, // -11
		"a number without an end":         {[]byte("\x20\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), subjects.ErrPlugin},
		"field 0":                         {[]byte("\x02\x01a"), subjects.ErrPlugin},
		"a group":                         {[]byte("\x0b\x0c"), subjects.ErrPlugin},
		"a name that is not UTF-8":        {[]byte("\x12\x01\xff"), subjects.ErrPlugin},
	} {
		t.Run(name, func(t *testing.T) {
			if err := call(c.request); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
	random := rand.New(rand.NewPCG(1, 2)) // the same bytes in every run
	for range 300 {
		request := slices.Clone(whole)
		for range 1 + random.IntN(4) {
			request[random.IntN(len(request))] = byte(random.Uint32())
		}
		request = request[:random.IntN(len(request)+1)]
		if len(request) > 0 && request[0] == '{' {
			continue // JSON to the host
		}
		if err := call(request); !errors.Is(err, api.ErrNotFound) && !errors.Is(err, subjects.ErrPlugin) {
			t.Errorf("%x: got %v", request, err)
		}
	}
	wantIsolation(t, bus, config.IsolationClean)
}

func checkLastfmNotImplemented(t *testing.T, wasm []byte) {
	bus := hostLastfm(t, wasm, serveLastfm(t, everyArtist), nil)
	for _, method := range []string{"get_artist_mbid", "get_artist_images", "get_artist_top_songs", "get_album_info", "get_album_images"} {
		if _, err := bus.Call(t.Context(), "lastfm", method, nil); !errors.Is(err, api.ErrNotImplemented) {
			t.Errorf("%s: got %v, want ErrNotImplemented", method, err)
		}
	}
}

func checkLastfmCallsAtOnce(t *testing.T, wasm []byte) {
	for _, isolation := range []string{config.IsolationClean, config.IsolationReuse, config.IsolationFresh} {
		t.Run(isolation, func(t *testing.T) {
			bus := hostLastfm(t, wasm, serveLastfm(t, everyArtist), nil, func(c *config.Config) { c.Runtime.Isolation = isolation })
			agent := bus.MetadataAgent("lastfm")
			var callers sync.WaitGroup
			for caller := range 8 {
				callers.Go(func() {
					for n := range 50 {
						name := fmt.Sprintf("%s%d %d", strings.Repeat("é", caller*10), caller, n)
						answer, err := agent.GetArtistURL(t.Context(), &api.ArtistURLRequest{Name: name})
						if want := lastfmPage(name); err != nil || answer.Url != want {
							t.Errorf("got %v, %v, want %q", answer, err, want)
							return
						}
					}
				})
			}
			callers.Wait()
			wantIsolation(t, bus, isolation)
		})
	}
}

// wantIsolation tells that the plugin is served, with the isolation that was asked
// for.
func wantIsolation(t *testing.T, bus *client.Client, isolation string) {
	t.Helper()
	infos, err := bus.Info(t.Context(), "lastfm")
	if err != nil || len(infos) != 1 || infos[0].Plugin == nil {
		t.Fatalf("got %v, %v", infos, err)
	}
	if p := infos[0].Plugin; p.State != subjects.StateReady || p.Isolation != isolation || p.IsolationReason != "" || len(p.Warnings) > 0 {
		t.Errorf("got %+v, want it ready and %s", p, isolation)
	}
}

// checkLastfmMemory is a host that knows of the binary interface what the guide
// says, and never restores the memory.
func checkLastfmMemory(t *testing.T, wasm []byte) {
	runtime := wazero.NewRuntime(t.Context())
	defer func() { _ = runtime.Close(t.Context()) }()
	wasi_snapshot_preview1.MustInstantiate(t.Context(), runtime)
	body, err := json.Marshal(lastfmArtist(strings.Repeat("é", 5000), "en"))
	if err != nil {
		t.Fatal(err)
	}
	page, err := (&apihttp.HttpResponse{Status: http.StatusOK, Body: body}).MarshalVT()
	if err != nil {
		t.Fatal(err)
	}
	entries, err := (&apiconfig.GetPluginConfigResponse{Config: map[string]string{"api_key": lastfmKey}}).MarshalVT()
	if err != nil {
		t.Fatal(err)
	}
	place := func(ctx context.Context, module wazeroapi.Module, content []byte) uint64 {
		address, err := module.ExportedFunction("malloc").Call(ctx, uint64(len(content)))
		if err != nil || !module.Memory().Write(uint32(address[0]), content) {
			panic(fmt.Sprint(address, err))
		}
		return address[0]<<32 | uint64(len(content))
	}
	answering := func(response []byte) func(context.Context, wazeroapi.Module, uint32, uint32) uint64 {
		return func(ctx context.Context, module wazeroapi.Module, _, _ uint32) uint64 {
			return place(ctx, module, response)
		}
	}
	_, err = runtime.NewHostModuleBuilder("env").
		NewFunctionBuilder().WithFunc(answering(page)).Export("get").
		NewFunctionBuilder().WithFunc(answering(entries)).Export("get_plugin_config").
		Instantiate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	module, err := runtime.InstantiateWithConfig(t.Context(), wasm, wazero.NewModuleConfig().WithStartFunctions("_initialize"))
	if err != nil {
		t.Fatal(err)
	}
	request, err := (&api.ArtistBiographyRequest{Name: "X"}).MarshalVT()
	if err != nil {
		t.Fatal(err)
	}
	invoke := func(name string, params ...uint64) uint64 {
		t.Helper()
		results, err := module.ExportedFunction(name).Call(t.Context(), params...)
		if err != nil {
			t.Fatal(err)
		}
		return append(results, 0)[0]
	}
	var settled uint32
	for n := range 1000 {
		given := place(t.Context(), module, request)
		result := invoke("metadata_agent_get_artist_biography", given>>32, uint64(uint32(given)))
		content, ok := module.Memory().Read(uint32(result>>32), uint32(result))
		var answer api.ArtistBiographyResponse
		if !ok || answer.UnmarshalVT(content) != nil || !strings.HasSuffix(answer.Biography, "é…") || !utf8.ValidString(answer.Biography) {
			t.Fatalf("call %d: got %x", n, result)
		}
		invoke("free", result>>32)
		invoke("free", given>>32)
		invoke("free", invoke("metadata_agent_get_album_info", 0, 0)>>32)
		if n == 100 {
			settled = module.Memory().Size()
		}
	}
	if size := module.Memory().Size(); size > settled {
		t.Errorf("after 1000 calls the memory has %d bytes, after 100 it had %d", size, settled)
	}
}
