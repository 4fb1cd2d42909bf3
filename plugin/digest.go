package plugin

import (
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"
)

// FilesDigest identifies the two files of a plugin: in hex, the SHA-256 of the SHA-256 of plugin.wasm and that of
// manifest.json, one behind the other.
func FilesDigest(wasm, manifest []byte) string {
	first, second := sha256.Sum256(wasm), sha256.Sum256(manifest)
	sum := sha256.Sum256(append(first[:], second[:]...))
	return hex.EncodeToString(sum[:])
}

// FolderDigest is [FilesDigest] of the plugin in a folder of its own, as it is now. The error is what the system says.
func FolderDigest(dir string) (string, error) {
	wasm, err := readUpTo(filepath.Join(dir, WasmName), MaxWasmSize+1)
	if err != nil {
		return "", err
	}
	manifest, err := readUpTo(filepath.Join(dir, ManifestName), MaxManifestSize+1)
	if err != nil {
		return "", err
	}
	return FilesDigest(wasm, manifest), nil
}
