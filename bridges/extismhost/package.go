package extismhost

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// The entries of a package that count.
const (
	manifestEntry = "manifest.json"
	wasmEntry     = "plugin.wasm"
)

// maxEntry is how many bytes of an entry are read.
const maxEntry = 64 << 20

// ErrPackage is that of a package that is none, or has not what a plugin needs.
var ErrPackage = errors.New("not a package of a plugin")

// Package is a plugin as it is installed: an .ndp file.
type Package struct {
	// Manifest is manifest.json.
	Manifest []byte
	// Wasm is the module.
	Wasm []byte
}

// ReadPackage takes an .ndp file apart. Of two entries with one name the last one counts. ErrPackage if there is none of a
// name.
func ReadPackage(ndp []byte) (Package, error) {
	archive, err := zip.NewReader(bytes.NewReader(ndp), int64(len(ndp)))
	if err != nil {
		return Package{}, fmt.Errorf("%w: %w", ErrPackage, err)
	}
	var p Package
	for _, entry := range archive.File {
		var to *[]byte
		switch entry.Name {
		case manifestEntry:
			to = &p.Manifest
		case wasmEntry:
			to = &p.Wasm
		default:
			continue
		}
		if *to, err = readEntry(entry); err != nil {
			return Package{}, fmt.Errorf("%w: %s: %w", ErrPackage, entry.Name, err)
		}
	}
	switch {
	case p.Manifest == nil:
		return Package{}, fmt.Errorf("%w: package missing %s", ErrPackage, manifestEntry)
	case p.Wasm == nil:
		return Package{}, fmt.Errorf("%w: package missing %s", ErrPackage, wasmEntry)
	}
	return p, nil
}

func readEntry(entry *zip.File) ([]byte, error) {
	reader, err := entry.Open()
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(io.LimitReader(reader, maxEntry+1))
	if err := errors.Join(err, reader.Close()); err != nil {
		return nil, err
	}
	if len(content) > maxEntry {
		return nil, fmt.Errorf("longer than %d bytes", maxEntry)
	}
	return content, nil
}

// Write writes the package as an .ndp file: the same bytes for the same content, whenever it is packed.
func (p Package) Write(w io.Writer) error {
	archive := zip.NewWriter(w)
	for _, entry := range []struct {
		name    string
		content []byte
	}{{manifestEntry, p.Manifest}, {wasmEntry, p.Wasm}} {
		// No time is set.
		to, err := archive.CreateHeader(&zip.FileHeader{Name: entry.name, Method: zip.Deflate})
		if err != nil {
			return fmt.Errorf("pack %s: %w", entry.name, err)
		}
		if _, err := to.Write(entry.content); err != nil {
			return fmt.Errorf("pack %s: %w", entry.name, err)
		}
	}
	if err := archive.Close(); err != nil {
		return fmt.Errorf("pack: %w", err)
	}
	return nil
}
