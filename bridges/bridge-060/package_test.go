package bridge060_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"

	bridge060 "github.com/pluginhost/pluginhost/bridges/bridge-060"
	"github.com/pluginhost/pluginhost/bridges/extismhost"
)

func checkExports(t *testing.T, b *bridge) {
	agent := []string{
		"nd_get_album_images", "nd_get_album_info", "nd_get_artist_biography", "nd_get_artist_images", "nd_get_artist_mbid",
		"nd_get_artist_top_songs", "nd_get_artist_url", "nd_get_similar_artists",
	}
	scrobbler := []string{authorised, tells, scrobbles}
	for variant, want := range map[bridge060.Variant]struct {
		exports, capabilities []string
		users                 bool
	}{
		bridge060.Agent:     {agent, []string{"MetadataAgent"}, false},
		bridge060.Scrobbler: {scrobbler, []string{"Scrobbler"}, true},
		bridge060.All:       {slices.Concat(agent, scrobbler), []string{"MetadataAgent", "Scrobbler"}, true},
	} {
		packed := b.pack(t, variant)
		exports, imports := inspect(t, packed.Wasm)
		// Beside them there are the start of AssemblyScript, which has nothing to do, and its memory.
		slices.Sort(want.exports)
		if !slices.Equal(slices.DeleteFunc(exports, func(name string) bool { return name == "_initialize" }), want.exports) {
			t.Errorf("%s exports %q, want %q", variant, exports, want.exports)
		}
		for _, name := range imports {
			// Of the log there are warnings alone: what is at trace could arrive as an error.
			if strings.Contains(name, "wasi") || strings.Contains(name, "log") && !strings.HasSuffix(name, " log_warn") {
				t.Errorf("%s imports %s", variant, name)
			}
		}
		plugin, err := extismhost.Load(t.Context(), packed, extismhost.Options{Cache: b.cache})
		if err != nil {
			t.Fatal(err)
		}
		if got := plugin.Capabilities(); !slices.Equal(got, want.capabilities) {
			t.Errorf("%s has the capabilities %q", variant, got)
		}
		if err := plugin.Close(t.Context()); err != nil {
			t.Error(err)
		}
		var manifest struct{ Permissions map[string]any }
		if err := json.Unmarshal(packed.Manifest, &manifest); err != nil {
			t.Fatal(err)
		}
		if _, users := manifest.Permissions["users"]; users != want.users {
			t.Errorf("the manifest of %s: users %v", variant, users)
		}
	}
}

// inspect lists what a module exports and imports, sorted by name.
func inspect(t *testing.T, wasm []byte) (exports, imports []string) {
	t.Helper()
	runtime := wazero.NewRuntimeWithConfig(t.Context(), wazero.NewRuntimeConfigInterpreter())
	defer func() { _ = runtime.Close(t.Context()) }()
	module, err := runtime.CompileModule(t.Context(), wasm)
	if err != nil {
		t.Fatal(err)
	}
	for _, function := range module.ImportedFunctions() {
		from, name, _ := function.Import()
		imports = append(imports, from+" "+name)
	}
	return slices.Sorted(maps.Keys(module.ExportedFunctions())), imports
}

func checkPackages(t *testing.T, b *bridge) {
	for _, variant := range bridge060.Variants() {
		var first, second bytes.Buffer
		for _, to := range []*bytes.Buffer{&first, &second} {
			packed, err := variant.Package(b.folder)
			if err != nil {
				t.Fatal(err)
			}
			if err := packed.Write(to); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Errorf("%s is packed in two ways", variant)
		}
	}
	if _, err := bridge060.All.Package(t.TempDir()); err == nil {
		t.Error("a folder in which nothing was built has a package")
	}
}
