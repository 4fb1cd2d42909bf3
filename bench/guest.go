package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/pluginhost/pluginhost/api/schema"
	"github.com/pluginhost/pluginhost/testenv/guests"
	"github.com/pluginhost/pluginhost/wasmrt"
)

// The capability and the method that everything here calls.
const (
	capability = "MetadataAgent"
	export     = "metadata_agent_get_artist_biography"
)

// guestSet has the two plugins that are called.
type guestSet struct {
	// handmade has no language runtime: every method is one instruction.
	handmade []byte
	// compiled is the Go plugin in the folder noop.
	compiled []byte
}

// buildGuests compiles the Go plugin into dir.
func buildGuests(ctx context.Context, dir string) (guestSet, error) {
	file := filepath.Join(dir, "noop.wasm")
	cmd := exec.CommandContext(ctx, "go", "build", "-buildmode=c-shared", "-o", file, "./noop")
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=")
	if output, err := cmd.CombinedOutput(); err != nil {
		return guestSet{}, fmt.Errorf("build the plugin noop (run this in the folder bench): %w\n%s", err, output)
	}
	wasm, err := os.ReadFile(file)
	if err != nil {
		return guestSet{}, fmt.Errorf("read the plugin noop: %w", err)
	}
	return guestSet{handmade: guests.Handmade{}.Bytes(), compiled: wasm}, nil
}

// addPlugin writes a plugin into a plugins folder.
func addPlugin(folder, id string, wasm []byte) error {
	manifest, err := json.Marshal(map[string]any{
		"name": id, "author": "pluginhost", "version": "1.0.0", "description": "Does nothing.",
		"website": "https://example.com", "capabilities": []string{capability}, "permissions": map[string]any{},
	})
	if err != nil {
		return fmt.Errorf("manifest of %s: %w", id, err)
	}
	dir := filepath.Join(folder, id)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("plugin %s: %w", id, err)
	}
	for name, content := range map[string][]byte{"manifest.json": manifest, "plugin.wasm": wasm} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return fmt.Errorf("plugin %s: %w", id, err)
		}
	}
	return nil
}

// moduleOptions load a guest without a replica.
func moduleOptions(isolation wasmrt.Isolation) wasmrt.Options {
	agent, _ := schema.Lookup(capability)
	service := wasmrt.Service{VersionExport: agent.VersionExport}
	for _, method := range agent.Methods {
		service.Methods = append(service.Methods, method.Export)
	}
	return wasmrt.Options{Services: []wasmrt.Service{service}, Limits: wasmrt.Limits{Isolation: isolation}}
}
