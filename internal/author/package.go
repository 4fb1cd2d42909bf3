package author

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/pluginhost/pluginhost/plugin"
)

// Package packs a plugin's folder into a file, which is there as a whole or not at all.
// The error is that of plugin.Pack, or what the system says.
func Package(ctx context.Context, dir, path string) (*plugin.Package, error) {
	file, err := createDraft(filepath.Dir(path), packageDraft)
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.Remove(file.Name()) }() // where it was not renamed
	packed, err := plugin.Pack(ctx, dir, file)
	if err = errors.Join(err, file.Chmod(0o644), file.Close()); err != nil {
		return nil, err
	}
	return packed, os.Rename(file.Name(), path)
}

// What is being made has these names, with something for the *.
const (
	wasmDraft    = ".plugin-*.wasm"
	packageDraft = ".package-*"
)

// draftAge is how old a draft must be that belongs to nobody any more: who made it was
// killed.
const draftAge = time.Hour

// createDraft creates a file that is to be renamed, and removes those of its kind that
// were left behind.
func createDraft(dir, pattern string) (*os.File, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if is, err := filepath.Match(pattern, entry.Name()); err != nil || !is || !entry.Type().IsRegular() {
			continue
		}
		if info, err := entry.Info(); err == nil && time.Since(info.ModTime()) > draftAge {
			_ = os.Remove(filepath.Join(dir, entry.Name())) // else it is in nobody's way
		}
	}
	return os.CreateTemp(dir, pattern)
}
