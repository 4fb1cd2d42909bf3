package plugin

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pluginhost/pluginhost/internal/regular"
)

// packedTime is the time of all files in a package: the first that zip knows.
var packedTime = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

// Pack writes the package of a plugin's folder: manifest.json, plugin.wasm, and what is for readers: README and LICENSE
// files and the *.md files beside them. The same files give the same bytes. What it writes has been checked as
// [ParsePackage] does.
func Pack(ctx context.Context, dir string, to io.Writer) (*Package, error) {
	names, err := packed(dir)
	if err != nil {
		return nil, err
	}
	var content bytes.Buffer
	archive := zip.NewWriter(&content)
	archive.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, flate.BestCompression) })
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		data, err := regular.Read(filepath.Join(dir, name), MaxPackageEntry+1)
		if err != nil {
			return nil, fmt.Errorf("pack plugin: %w", err)
		}
		header := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: packedTime}
		header.SetMode(0o600)
		entry, err := archive.CreateHeader(header)
		if err != nil {
			return nil, err
		}
		if _, err := entry.Write(data); err != nil {
			return nil, err
		}
	}
	if err := archive.Close(); err != nil {
		return nil, err
	}
	p, err := ParsePackage(ctx, content.Bytes())
	if err != nil {
		return nil, err
	}
	_, err = to.Write(content.Bytes())
	return p, err
}

// packed are the names of the files of a plugin's folder that go into its package, sorted.
func packed(dir string) ([]string, error) {
	names := []string{ManifestName, WasmName}
	for _, name := range names {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return nil, fmt.Errorf("pack plugin: %w", err)
		}
	}
	all, _, err := listNames(dir)
	if err != nil {
		return nil, err
	}
	for _, name := range all {
		info, err := os.Stat(filepath.Join(dir, name))
		if err == nil && info.Mode().IsRegular() && isForReaders(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// isForReaders picks README, LICENSE and the like, and *.md files.
func isForReaders(name string) bool {
	upper := strings.ToUpper(name)
	switch filepath.Ext(upper) {
	case ".MD":
		return !strings.HasPrefix(name, ".")
	case ".TXT", "":
		return strings.HasPrefix(upper, "README") || strings.HasPrefix(upper, "LICENSE") || strings.HasPrefix(upper, "NOTICE")
	default:
		return false
	}
}
