package examples_test

import (
	"encoding/json"
	"fmt"
	"go/format"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
	"github.com/pluginhost/pluginhost/testenv/navidrome"
)

// blocks returns the fenced blocks of the authors' guide in one language.
func blocks(t *testing.T, language string) []string {
	t.Helper()
	guide, err := os.ReadFile(filepath.Join(guests.Root(), "docs", "plugin-authors.md"))
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, match := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllSubmatch(guide, -1) {
		found = append(found, string(match[1]))
	}
	if len(found) == 0 {
		t.Fatalf("the guide has no %s blocks", language)
	}
	return found
}

func TestGuideBeginsWithTheMinimalExample(t *testing.T) {
	t.Parallel()
	minimal, err := os.ReadFile(filepath.Join("minimal", "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	if blocks(t, "go")[0] != string(minimal) {
		t.Error("the first Go block of the guide is not examples/minimal/main.go")
	}
}

func TestSnippetsOfTheGuideAreFormatted(t *testing.T) {
	t.Parallel()
	for _, block := range blocks(t, "go") {
		formatted, err := format.Source([]byte(block))
		if err != nil {
			t.Fatalf("%v\n%s", err, block)
		}
		if string(formatted) != block {
			t.Errorf("got:\n%swant:\n%s", block, formatted)
		}
	}
}

func TestManifestsOfTheGuideHaveNoWarnings(t *testing.T) {
	t.Parallel()
	for i, block := range blocks(t, "json") {
		if strings.Contains(block, `"capabilities"`) {
			t.Run(fmt.Sprint(i), func(t *testing.T) { wantGoodManifest(t, []byte(block)) })
		}
	}
}

func TestSnippetsOfTheGuideBuildAsPlugins(t *testing.T) {
	t.Parallel()
	for i, block := range blocks(t, "go") {
		t.Run(fmt.Sprint(i), func(t *testing.T) { buildSnippet(t, block) })
	}
}

// buildSnippet builds a snippet as a plugin and returns the file. A snippet is a
// whole file. It is laid over a folder of this module, which then needs no module
// of its own.
func buildSnippet(t *testing.T, snippet string) string {
	t.Helper()
	dir := t.TempDir()
	folder := filepath.Join(guests.Root(), "examples", "guide")
	files := map[string]string{}
	add := func(name, content string) {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		files[filepath.Join(folder, name)] = file
	}
	add("snippet.go", snippet)
	if !strings.Contains(snippet, "func main()") {
		add("main.go", "package main\n\nfunc main() {}\n")
	}
	overlay, err := json.Marshal(map[string]any{"Replace": files})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	wasm := filepath.Join(dir, "plugin.wasm")
	cmd := exec.Command("go", "build", "-trimpath", "-overlay", filepath.Join(dir, "overlay.json"), "-buildmode=c-shared", "-o", wasm, "./examples/guide")
	cmd.Dir = guests.Root()
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, snippet)
	}
	return wasm
}

func TestThePluginThatUsesServicesRuns(t *testing.T) {
	t.Parallel()
	server := navidrome.Start(t)
	const is = "GetArtistBiography tells in JSON what Navidrome knows"
	snippets := slices.DeleteFunc(blocks(t, "go"), func(snippet string) bool { return !strings.Contains(snippet, is) })
	if len(snippets) != 1 {
		t.Fatalf("the guide has %d snippets with %q", len(snippets), is)
	}
	wasm, err := os.ReadFile(buildSnippet(t, snippets[0]))
	if err != nil {
		t.Fatal(err)
	}
	reason := map[string]any{"reason": "test"}
	manifest := testenv.Manifest(map[string]any{"cache": reason, "artwork": reason, "subsonicapi": reason}, plugin.MetadataAgent)
	folder := t.TempDir()
	testenv.AddPlugin(t, folder, "agent", manifest, wasm)
	config := testenv.Config(t, testenv.NATS(t), folder)
	config.Navidrome.URL = server.URL
	testenv.Start(t, config, nil)
	agent := client.New(testenv.Connect(t, config.NATS.URL)).MetadataAgent("agent")
	for range 2 {
		answer, err := agent.GetArtistBiography(t.Context(), &api.ArtistBiographyRequest{Id: "ar1"})
		if err != nil || !strings.Contains(answer.Biography, "Nina Simone") {
			t.Errorf("got %v, %v", answer, err)
		}
	}
	asked := slices.DeleteFunc(server.Requests(), func(r navidrome.Request) bool { return r.Endpoint != "getArtist" })
	if len(asked) != 1 {
		t.Errorf("Navidrome was asked %d times, want once", len(asked))
	}
	images, err := agent.GetArtistImages(t.Context(), &api.ArtistImageRequest{Id: "ar1"})
	if err != nil || len(images.Images) != 1 || !strings.HasPrefix(images.Images[0].Url, "http://localhost/artwork/") {
		t.Errorf("got %v, %v", images, err)
	}
}
