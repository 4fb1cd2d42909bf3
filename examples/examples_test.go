// Package examples_test proves that the examples and the snippets of the
// authors' guide are as they should be for somebody who copies them.
package examples_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pluginhost/pluginhost/hostsvc/netguard"
	"github.com/pluginhost/pluginhost/internal/author"
	"github.com/pluginhost/pluginhost/plugin"
)

// each runs check for every example.
func each(t *testing.T, check func(t *testing.T, dir string)) {
	t.Helper()
	manifests, err := filepath.Glob("*/manifest.json")
	if err != nil {
		t.Fatal(err)
	}
	if len(manifests) == 0 {
		t.Fatal("no examples")
	}
	for _, manifest := range manifests {
		dir := filepath.Dir(manifest)
		t.Run(dir, func(t *testing.T) { check(t, dir) })
	}
}

func TestManifestsHaveNoWarnings(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, dir string) {
		data, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
		if err != nil {
			t.Fatal(err)
		}
		wantGoodManifest(t, data)
	})
}

func TestExamplesBuildAsPlugins(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, dir string) {
		if _, err := os.Stat(filepath.Join(dir, "main.go")); errors.Is(err, os.ErrNotExist) {
			t.Skip("not in Go: has a test of its own")
		}
		var said strings.Builder
		built, err := author.Build(t.Context(), dir, &said, nil)
		if err != nil {
			t.Fatalf("%v\n%s", err, &said)
		}
		// It posts to whatever address its user has.
		wide := map[string]string{"webhook": "permission http: http*://* is every server on the internet"}
		for _, warning := range built.Warnings {
			if warning != wide[dir] {
				t.Error("warning:", warning)
			}
		}
	})
}

// wantGoodManifest also looks at what the manifest's schema leaves to the
// services.
func wantGoodManifest(t *testing.T, data []byte) {
	t.Helper()
	manifest, warnings, err := plugin.ParseManifest(data)
	if err != nil {
		t.Fatal(err)
	}
	for _, warning := range warnings {
		t.Error("warning:", warning)
	}
	if http := manifest.Permissions.HTTP; http != nil {
		if _, err := netguard.Parse(http.AllowedURLs); err != nil {
			t.Error(err)
		}
	}
}
