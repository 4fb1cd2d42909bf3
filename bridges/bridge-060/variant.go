// Package bridge060 makes the packages of the bridge for Navidrome from 0.60 on: one source in AssemblyScript, in three variants,
// as Navidrome asks a plugin for everything that it exports.
package bridge060

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/pluginhost/pluginhost/bridges/extismhost"
)

// Variant is which of the bridge's capabilities a package has.
type Variant string

// The variants, by the names of their modules and packages.
const (
	// Agent is asked for artists and albums.
	Agent Variant = "agent"
	// Scrobbler is told what users play.
	Scrobbler Variant = "scrobbler"
	// All is both.
	All Variant = "all"
)

// Variants are all of them.
func Variants() []Variant { return []Variant{Agent, Scrobbler, All} }

// File is the name of the variant's package.
func (v Variant) File() string { return "bridge-060-" + string(v) + ".ndp" }

// Package reads the package of the variant from the bridge's folder, in which npm has built the modules. It is the same whenever
// the same is built.
func (v Variant) Package(folder string) (extismhost.Package, error) {
	manifest, err := v.manifest(filepath.Join(folder, "manifest.json"))
	if err != nil {
		return extismhost.Package{}, err
	}
	wasm, err := os.ReadFile(filepath.Join(folder, "build", string(v)+".wasm"))
	if err != nil {
		return extismhost.Package{}, fmt.Errorf("module of %s: %w", v, err)
	}
	return extismhost.Package{Manifest: manifest, Wasm: wasm}, nil
}

// manifest makes that of the variant from the one in the folder, which is that of All.
func (v Variant) manifest(file string) ([]byte, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("manifest of %s: %w", v, err)
	}
	var all struct {
		Name        string                     `json:"name"`
		Author      string                     `json:"author"`
		Version     string                     `json:"version"`
		Description string                     `json:"description"`
		Website     string                     `json:"website"`
		Permissions map[string]json.RawMessage `json:"permissions"`
		Config      json.RawMessage            `json:"config"`
	}
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&all); err != nil {
		return nil, fmt.Errorf("manifest of %s: %w", v, err)
	}
	if v != All {
		all.Name += " (" + string(v) + ")"
	}
	if v == Agent {
		// An administrator would have to choose users first, for nothing.
		delete(all.Permissions, "users")
	}
	manifest, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("manifest of %s: %w", v, err)
	}
	return manifest, nil
}
