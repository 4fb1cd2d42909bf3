package plugin

import (
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"

	"github.com/pluginhost/pluginhost/internal/regular"
)

// FilesDigest identifies the two files of a plugin: in hex, the SHA-256 of the SHA-256 of plugin.wasm and that of
// manifest.json, one behind the other.
func FilesDigest(wasm, manifest []byte) string {
	return digestOf(sha256.Sum256(wasm), sha256.Sum256(manifest))
}

// digestOf is FilesDigest of files with these SHA-256.
func digestOf(wasm, manifest [sha256.Size]byte) string {
	sum := sha256.Sum256(append(wasm[:], manifest[:]...))
	return hex.EncodeToString(sum[:])
}

// FolderDigest is [FilesDigest] of the plugin in a folder of its own, as it is now. The error is what the system says.
func FolderDigest(dir string) (string, error) {
	wasm, err := regular.Read(filepath.Join(dir, WasmName), MaxWasmSize+1)
	if err != nil {
		return "", err
	}
	manifest, err := regular.Read(filepath.Join(dir, ManifestName), MaxManifestSize+1)
	if err != nil {
		return "", err
	}
	return FilesDigest(wasm, manifest), nil
}
