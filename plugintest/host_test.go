package plugintest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/plugintest"
	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
)

// failing is a test that fails and is told about.
type failing struct {
	testing.TB
	says string
	log  strings.Builder
}

func (f *failing) Helper() {}

func (f *failing) Output() io.Writer { return &f.log }

func (f *failing) Fatalf(format string, args ...any) {
	f.says = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// fatal runs what should fail the test and returns what that says.
func fatal(t *testing.T, run func(testing.TB)) string {
	t.Helper()
	f := &failing{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		run(f)
	}()
	<-done
	if f.says == "" {
		t.Fatal("the test does not fail")
	}
	return f.says
}

func TestErrorsAreThoseOfACallOnTheBus(t *testing.T) {
	t.Parallel()
	host := guest(t, guests.Probe, nil, plugin.MetadataAgent, plugin.Scrobbler)
	biography := func(name string) error {
		_, err := host.MetadataAgent().GetArtistBiography(t.Context(), &api.ArtistBiographyRequest{Name: name})
		return err
	}
	soon, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, notFound := host.MetadataAgent().GetArtistMBID(t.Context(), &api.ArtistMBIDRequest{})
	_, notImplemented := host.MetadataAgent().GetAlbumImages(t.Context(), &api.AlbumImagesRequest{})
	_, late := host.MetadataAgent().GetArtistBiography(soon, &api.ArtistBiographyRequest{Name: "loop"})
	_, told := host.Scrobbler().Scrobble(t.Context(), &api.ScrobblerScrobbleRequest{Username: "joe", Track: &api.TrackInfo{Name: "retry later"}})
	_, toldStandard := host.Scrobbler().NowPlaying(t.Context(), &api.ScrobblerNowPlayingRequest{Track: &api.TrackInfo{Name: "plugin:not_found"}})
	for _, test := range []struct {
		name string
		err  error
		want error
		text string
	}{
		{"nothing found", notFound, api.ErrNotFound, "404 plugin:not_found"},
		{"nothing found, by its code", notFound, subjects.ErrNotFound, "404 plugin:not_found"},
		{"not implemented", notImplemented, api.ErrNotImplemented, "501 plugin:not_implemented"},
		{"an error of the plugin", biography("error away"), subjects.ErrPlugin, "500 plugin_error: away"},
		{"an error that looks like a standard one", biography("error not found"), subjects.ErrPlugin, "500 plugin_error: not found"},
		{"an error in the response", told, subjects.ErrPlugin, "500 plugin_error: retry later"},
		{"a standard error in the response", toldStandard, api.ErrNotFound, "404 plugin:not_found"},
		{"a panic", biography("panic"), subjects.ErrCrashed, "502 plugin_crashed: panic: asked to"},
		{"too late", late, context.DeadlineExceeded, "408 deadline_exceeded: "},
		{"too much", biography("big 2000000"), subjects.ErrTooLarge, "413 too_large: "},
		{"a capability that the manifest has not", host.Call(t.Context(), "on_init", &api.InitRequest{}, &api.InitResponse{}), api.ErrNotImplemented, "501 plugin:not_implemented: on_init is a method of LifecycleManagement"},
		{"no method", host.Call(t.Context(), "GetArtistURL", &api.InitRequest{}, &api.InitResponse{}), subjects.ErrBadRequest, `400 bad_request: unknown method "GetArtistURL"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			if !errors.Is(test.err, test.want) || !strings.HasPrefix(test.err.Error(), test.text) {
				t.Errorf("got %v, want %q", test.err, test.text)
			}
		})
	}
}

func TestNothingIsLeftOfACallInTheMemory(t *testing.T) {
	t.Parallel()
	host := guest(t, guests.Probe, nil, plugin.MetadataAgent)
	for range 3 {
		answer, err := host.MetadataAgent().GetArtistBiography(t.Context(), &api.ArtistBiographyRequest{Name: "count"})
		if err != nil || answer.Biography != "1" {
			t.Errorf("got %v, %v: want the first call", answer, err)
		}
	}
}

func TestAMethodIsCalledWithJSON(t *testing.T) {
	t.Parallel()
	host := example(t, "minimal")
	answer, err := host.CallJSON(t.Context(), "get_artist_url", `{"mbid":"42"}`)
	if want := `{"url":"https://musicbrainz.org/artist/42"}`; err != nil || answer != want {
		t.Errorf("got %s, %v, want %s", answer, err, want)
	}
	if _, err := host.CallJSON(t.Context(), "get_artist_url", `{"mbid":42}`); !errors.Is(err, subjects.ErrBadRequest) {
		t.Errorf("a number: got %v", err)
	}
	if _, err := host.CallJSON(t.Context(), "get_artist_url", `{}`); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
}

func TestOutputIsKeptByLine(t *testing.T) {
	t.Parallel()
	host := guest(t, guests.Probe, nil, plugin.MetadataAgent)
	if host.Output() != "" {
		t.Errorf("at first: %q", host.Output())
	}
	if _, err := host.MetadataAgent().GetArtistBiography(t.Context(), &api.ArtistBiographyRequest{Name: "forge 3"}); err != nil {
		t.Fatal(err)
	}
	lines := slices.Sorted(strings.Lines(host.Output())) // the order of the streams is not told
	if len(lines) != 4 || !slices.Contains(lines, "innocent\n") || !slices.Contains(lines, "to stdout\n") || !slices.Contains(lines, "yyy\n") {
		t.Errorf("got %q", lines)
	}
}

func TestConfigReachesOnInitAndTheService(t *testing.T) {
	t.Parallel()
	host := guest(t, guests.Lifecycle, map[string]any{"config": reason}, plugin.LifecycleManagement, plugin.MetadataAgent)
	host.SetConfig("ReturnError", "go_error")
	if err := host.Init(t.Context()); !errors.Is(err, subjects.ErrPlugin) || !strings.Contains(err.Error(), "OnInit: 500 plugin_error: initialization failed") {
		t.Errorf("an error: got %v", err)
	}
	host.SetConfig("returnerror", "response_error")
	if err := host.Init(t.Context()); !errors.Is(err, subjects.ErrPlugin) {
		t.Errorf("an error in the response: got %v", err)
	}
	host.SetConfig("returnerror", "panic")
	if err := host.Init(t.Context()); !errors.Is(err, subjects.ErrCrashed) {
		t.Errorf("a panic: got %v", err)
	}
	host.SetConfig("returnerror", "")
	host.SetConfig("Language", "De")
	if err := host.Init(t.Context()); err != nil {
		t.Errorf("got %v", err)
	}
	answer, err := host.MetadataAgent().GetArtistBiography(t.Context(), &api.ArtistBiographyRequest{})
	if want := "language=De\nreturnerror=\n"; err != nil || answer.Biography != want {
		t.Errorf("got %v, %v, want %q", answer, err, want)
	}
}

func TestAPluginWithoutOnInitHasNothingToInitialise(t *testing.T) {
	t.Parallel()
	if err := example(t, "minimal").Init(t.Context()); err != nil {
		t.Error(err)
	}
}

// source makes a folder with a plugin, in a module of its own.
func source(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	if _, found := files["main.go"]; found {
		files = maps.Clone(files)
		for _, name := range []string{"go.mod", "go.sum"} {
			content, err := os.ReadFile(filepath.Join(guests.Root(), name))
			if err != nil {
				t.Fatal(err)
			}
			files[name] = string(content)
		}
		// What the SDK needs is more than what the plugin does.
		const sdk = "github.com/pluginhost/pluginhost"
		files["go.mod"] = strings.Replace(files["go.mod"], "module "+sdk, "module example.com/plugin", 1) +
			fmt.Sprintf("\nrequire %s v0.0.0\n\nreplace (\n", sdk)
		for _, module := range []string{"", "/sdk", "/subjects"} {
			files["go.mod"] += fmt.Sprintf("\t%s => %q\n", sdk+module, guests.Root()+module)
		}
		files["go.mod"] += ")\n"
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const readsItsConfig = `package main

import (
	"context"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/api/host/config"
)

func init() { api.RegisterMetadataAgent(agent{}) }

func main() {}

type agent struct{ api.UnimplementedMetadataAgent }

func (agent) GetArtistURL(ctx context.Context, _ *api.ArtistURLRequest) (*api.ArtistURLResponse, error) {
	_, err := config.NewConfigService().GetPluginConfig(ctx, &config.GetPluginConfigRequest{})
	return &api.ArtistURLResponse{}, err
}
`

func TestLoadSaysWhatIsWrongWithThePlugin(t *testing.T) {
	t.Parallel()
	manifest := string(testenv.Manifest(nil, plugin.MetadataAgent))
	for _, test := range []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"no manifest", map[string]string{"main.go": readsItsConfig}, "manifest.json"},
		{"a manifest that is none", map[string]string{"manifest.json": "{}", "main.go": readsItsConfig}, "capabilities"},
		{"no source and no module", map[string]string{"manifest.json": manifest}, "neither Go files nor a plugin.wasm"},
		{"source that does not compile", map[string]string{"manifest.json": manifest, "main.go": readsItsConfig + "\nvar x = undefined\n"}, "undefined: undefined"},
		{"a service that is not granted", map[string]string{"manifest.json": manifest, "main.go": readsItsConfig}, `it imports get_plugin_config: add "config" to the permissions`},
		{"a module that is none", map[string]string{"manifest.json": manifest, "plugin.wasm": "#!/bin/sh"}, "not a WebAssembly module"},
		{"a URL pattern that is none", map[string]string{
			"manifest.json": string(testenv.Manifest(map[string]any{"http": map[string]any{"reason": "r", "allowedUrls": map[string]any{"https://a b": []string{"*"}}}}, plugin.MetadataAgent)),
			"plugin.wasm":   string(guests.Handmade{}.Bytes()),
		}, "permission http: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := source(t, test.files)
			if says := fatal(t, func(t testing.TB) { plugintest.Load(t, dir) }); !strings.HasPrefix(says, "plugintest: ") || !strings.Contains(says, test.want) {
				t.Errorf("got %q, want %q", says, test.want)
			}
		})
	}
}

func TestTheFolderOfThePluginIsLeftAlone(t *testing.T) {
	t.Parallel()
	dir := source(t, map[string]string{
		"manifest.json": string(testenv.Manifest(map[string]any{"config": reason}, plugin.MetadataAgent)), "main.go": readsItsConfig,
	})
	before, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := plugintest.Load(t, dir).MetadataAgent().GetArtistURL(t.Context(), &api.ArtistURLRequest{}); err != nil {
		t.Error(err)
	}
	after, err := os.ReadDir(dir)
	if err != nil || fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("got %v, %v, want %v", after, err, before)
	}
}

func TestAChangeOfTheSourceIsLoaded(t *testing.T) {
	t.Parallel()
	dir := source(t, map[string]string{
		"manifest.json": string(testenv.Manifest(map[string]any{"config": reason}, plugin.MetadataAgent)), "main.go": readsItsConfig,
	})
	for _, want := range []string{"", "changed", ""} {
		changed := strings.Replace(readsItsConfig, "ArtistURLResponse{}", `ArtistURLResponse{Url: "`+want+`"}`, 1)
		if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(changed), 0o600); err != nil {
			t.Fatal(err)
		}
		answer, err := plugintest.Load(t, dir).MetadataAgent().GetArtistURL(t.Context(), &api.ArtistURLRequest{})
		if err != nil || answer.Url != want {
			t.Errorf("got %v, %v, want %q", answer, err, want)
		}
	}
}

func TestLoadsAtTheSameMoment(t *testing.T) {
	t.Parallel()
	for range 4 {
		t.Run("one of them", func(t *testing.T) {
			t.Parallel()
			answer, err := example(t, "minimal").MetadataAgent().GetArtistURL(t.Context(), &api.ArtistURLRequest{Mbid: "1"})
			if err != nil || answer.Url == "" {
				t.Errorf("got %v, %v", answer, err)
			}
		})
	}
}
