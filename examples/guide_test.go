package examples_test

import (
	"encoding/json"
	"fmt"
	"go/format"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/pluginhost/pluginhost/testenv/guests"
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
	minimal, err := os.ReadFile(filepath.Join("minimal", "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	if blocks(t, "go")[0] != string(minimal) {
		t.Error("the first Go block of the guide is not examples/minimal/main.go")
	}
}

func TestSnippetsOfTheGuideAreFormatted(t *testing.T) {
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
	for i, block := range blocks(t, "json") {
		if strings.Contains(block, `"capabilities"`) {
			t.Run(fmt.Sprint(i), func(t *testing.T) { wantGoodManifest(t, []byte(block)) })
		}
	}
}

// A snippet is a whole file. It is laid over a folder of this module, which then
// needs no module of its own.
func TestSnippetsOfTheGuideBuildAsPlugins(t *testing.T) {
	for i, block := range blocks(t, "go") {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
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
			add("snippet.go", block)
			if !strings.Contains(block, "func main()") {
				add("main.go", "package main\n\nfunc main() {}\n")
			}
			overlay, err := json.Marshal(map[string]any{"Replace": files})
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("go", "build", "-overlay", filepath.Join(dir, "overlay.json"), "-buildmode=c-shared", "-o", filepath.Join(dir, "plugin.wasm"), "./examples/guide")
			cmd.Dir = guests.Root()
			cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s\n%s", err, out, block)
			}
		})
	}
}
