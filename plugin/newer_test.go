package plugin

import (
	"archive/zip"
	"bytes"
	"errors"
	"strings"
	"testing"
)

// A manifest of a newer plugin has no capabilities: that alone could as well be a slip.
func TestAPluginForANewerNavidromeIsSaidToBeOne(t *testing.T) {
	const (
		newer = `{"name": "n", "author": "a", "version": "1", "permissions": {"http": {"requiredHosts": ["example.com"]}, "users": {}}}`
		old   = "\x00asm\x01\x00\x00\x00 env"
	)
	module := old + " extism:host/env"
	for name, test := range map[string]struct {
		manifest, wasm string
		isNewer        bool
	}{
		"its manifest and its module":                {newer, module, true},
		"its module, and a manifest that is no JSON": {"{", module, false},
		"its module, and capabilities":               {`{"name": "n", "capabilities": []}`, module, false},
		"a manifest without capabilities":            {newer, old, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			writeFile(t, writePlugin(t, dir, "p", test.manifest)+"/plugin.wasm", test.wasm)
			var zipped bytes.Buffer
			w := zip.NewWriter(&zipped)
			for file, content := range map[string]string{ManifestName: test.manifest, WasmName: test.wasm} {
				into, err := w.Create(file)
				if err == nil {
					_, err = into.Write([]byte(content))
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			_, packed := ParsePackage(t.Context(), zipped.Bytes())
			for where, err := range map[string]error{"folder": scanOne(t, dir).Err, "package": packed} {
				if errors.Is(err, ErrNewer) != test.isNewer || err == nil || strings.Contains(err.Error(), "manifest") == test.isNewer {
					t.Errorf("in a %s: %v", where, err)
				}
			}
		})
	}
}
