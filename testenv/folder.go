package testenv

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/pluginhost/pluginhost/plugin"
)

// Manifest returns a manifest with these capabilities and permissions; nil
// permissions are none.
func Manifest(permissions map[string]any, capabilities ...string) []byte {
	if permissions == nil {
		permissions = map[string]any{}
	}
	body, err := json.Marshal(map[string]any{
		"name": "test", "author": "pluginhost", "version": "1.0.0", "description": "A plugin for tests.",
		"website": "https://example.com", "capabilities": capabilities, "permissions": permissions,
	})
	if err != nil {
		panic(err)
	}
	return body
}

// AddPlugin writes a plugin into a plugins folder.
func AddPlugin(t testing.TB, folder, id string, manifest, wasm []byte) {
	t.Helper()
	dir := filepath.Join(folder, id)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"manifest.json": manifest, "plugin.wasm": wasm} {
		if content == nil {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// RemovePlugin takes a plugin out of a plugins folder as the command plugin remove does, which leaves a mark: of the last
// plugin of a folder, that it is missing alone is no removal.
func RemovePlugin(t testing.TB, folder, id string) {
	t.Helper()
	if _, err := plugin.Remove(t.Context(), folder, id); err != nil {
		t.Fatal(err)
	}
}
