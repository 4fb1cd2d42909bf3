package plugin_test

import (
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/pluginhost/pluginhost/plugin"
)

func ExampleParseManifest() {
	manifest, warnings, err := plugin.ParseManifest([]byte(`{
		"name": "Covers",
		"author": "Someone",
		"version": "v1",
		"description": "Finds covers",
		"website": "https://example.com/covers",
		"capabilities": ["MetadataAgent"],
		"permissions": {
			"http": {"reason": "Asks the archive", "allowedUrls": {"https://archive.example.com": ["GET"]}},
			"cache": {"reason": "Asks it once a day"}
		}
	}`))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(manifest.Name, manifest.Has(plugin.MetadataAgent), manifest.Permissions.Granted())
	for _, warning := range warnings {
		fmt.Println("warning:", warning)
	}
	// Output:
	// Covers true [http cache]
	// warning: version: "v1" is not a semantic version such as 1.2.3
}

func ExampleParseManifest_faults() {
	_, _, err := plugin.ParseManifest([]byte(`{
		"author": "Someone", "version": "1.0.0", "description": "", "website": "https://example.com",
		"capabilities": ["Scrobler"],
		"permissions": {"websocket": {"allowedUrls": ["http://example.com"]}}
	}`))
	var invalid *plugin.ManifestError
	if errors.As(err, &invalid) {
		for _, fault := range invalid.Faults {
			fmt.Println(fault)
		}
	}
	// Output:
	// capabilities[0]: "Scrobler" is not known, did you mean "Scrobbler"? allowed: "MetadataAgent", "Scrobbler", "SchedulerCallback", "LifecycleManagement", "WebSocketCallback"
	// name: is missing
	// permissions.websocket.allowedUrls[0]: "http://example.com" must begin with ws:// or wss://
	// permissions.websocket.reason: is missing
}

func ExampleScan() {
	folder, err := os.MkdirTemp("", "plugins")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(folder) }()
	manifest := `{
		"name": "Covers", "author": "Someone", "version": "1.0.0", "description": "", "website": "https://example.com",
		"capabilities": ["MetadataAgent"], "permissions": {}
	}`
	for name, content := range map[string]string{
		"covers/plugin.wasm":   "\x00asm",
		"covers/manifest.json": manifest,
		"broken/plugin.wasm":   "\x00asm",
		"broken/manifest.json": "{}",
	} {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			log.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			log.Fatal(err)
		}
	}

	entries, err := plugin.Scan(folder)
	if err != nil {
		log.Fatal(err)
	}
	for _, entry := range entries {
		if entry.Err != nil {
			fmt.Println(entry.ID, "cannot be used:", entry.Err)
			continue
		}
		fmt.Println(entry.ID, entry.Manifest.Version, entry.Manifest.Capabilities)
	}
	// Output:
	// broken cannot be used: failed to load manifest: invalid manifest: author: is missing; capabilities: is missing; description: is missing; name: is missing; permissions: is missing; version: is missing; website: is missing
	// covers 1.0.0 [MetadataAgent]
}
