package plugin

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pluginhost/pluginhost/internal/regular"
)

// Limits of a package.
const (
	// PackageExt is how the name of a package file ends.
	PackageExt = ".ndp"
	// MaxPackageEntries is how many files and folders a package may have.
	MaxPackageEntries = 256
	// MaxPackageEntry is the largest file in a package, in bytes.
	MaxPackageEntry = 64 << 20
	// MaxPackageTotal is how many bytes all files of a package may have, and the package itself.
	MaxPackageTotal = 128 << 20
	// ReadmeName is the file that tells people about a plugin, MaxReadme how many bytes of it are read.
	ReadmeName = "README.md"
	MaxReadme  = 64 << 10
	// MaxPackageRatio is how many bytes one byte of a package may become.
	MaxPackageRatio = 200
)

// ErrBadPackage says that a package breaks a rule; the text says which.
var ErrBadPackage = errors.New("not a valid plugin package")

// Package is a checked .ndp package: a zip with plugin.wasm and manifest.json at its root, and what else the
// author has put there. It is held in memory and has nothing to close.
type Package struct {
	// Manifest is that of the package, Warnings those of the manifest.
	Manifest *Manifest
	Warnings []Problem
	// Wasm is the content of plugin.wasm, which is not looked into.
	Wasm []byte
	// Readme is the beginning of README.md, if there is one, up to MaxReadme bytes.
	Readme []byte
	// Content is the package itself.
	Content []byte
	// Digest is the SHA-256 of the package in hex.
	Digest string
	// Size is that of the package, Unpacked that of all its files, in bytes.
	Size, Unpacked int64
	// Path and Modified are those of the file, if it was read from one.
	Path     string
	Modified time.Time

	files []packageFile
}

// packageFile is a file of a package; its name has slashes and is safe.
type packageFile struct {
	name    string
	content *zip.File
}

// ReadPackage reads and checks a package file. A file that is no package is [ErrBadPackage].
func ReadPackage(ctx context.Context, path string) (*Package, error) {
	if filepath.Ext(path) != PackageExt {
		return nil, fmt.Errorf("%w: %s (expected %s extension)", ErrBadPackage, path, PackageExt)
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("plugin package not found: %s: %w", path, err)
	}
	if err != nil {
		return nil, err
	}
	data, err := regular.Read(path, MaxPackageTotal+1)
	if err != nil {
		return nil, fmt.Errorf("failed to read plugin package: %w", err)
	}
	p, err := ParsePackage(ctx, data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	p.Path, p.Modified = path, info.ModTime()
	return p, nil
}

// ParsePackage checks the content of a package, which it keeps. Whatever is wrong with it is [ErrBadPackage]; a fault of
// the manifest is also a [*ManifestError].
func ParsePackage(ctx context.Context, data []byte) (*Package, error) {
	digest := sha256.Sum256(data)
	p := &Package{Content: data, Digest: hex.EncodeToString(digest[:]), Size: int64(len(data))}
	if err := p.parse(ctx, data); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, fmt.Errorf("%w: %w", ErrBadPackage, err)
	}
	return p, nil
}

func (p *Package) parse(ctx context.Context, data []byte) error {
	if len(data) > MaxPackageTotal {
		return fmt.Errorf("it has more than %d bytes", MaxPackageTotal)
	}
	// The zip library keeps a record of each entry before anybody can count them.
	if n := bytes.Count(data, []byte("PK\x01\x02")); n > 64*MaxPackageEntries {
		return tooManyEntries(n)
	}
	archive, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	switch {
	case errors.Is(err, zip.ErrInsecurePath): // the names are looked at below
	case err != nil:
		return fmt.Errorf("it is no zip file, or damaged: %w", err)
	}
	if n := len(archive.File); n > MaxPackageEntries {
		return tooManyEntries(n)
	}
	names, packed := entryNames{}, uint64(0)
	for _, entry := range archive.File {
		// Of entries that overlap, or say that they are longer than they are, more would come.
		if packed += entry.CompressedSize64; entry.CompressedSize64 > uint64(len(data)) || packed > uint64(len(data)) {
			return fmt.Errorf("its files have more bytes than the package: %s", quote(entry.Name))
		}
		name, err := names.add(entry)
		if err != nil {
			return err
		}
		if name == "" { // a folder
			continue
		}
		p.files = append(p.files, packageFile{name, entry})
	}
	return p.readAll(ctx)
}

func tooManyEntries(n int) error {
	return fmt.Errorf("it has %d entries, at most %d are taken", n, MaxPackageEntries)
}

// readAll reads every file once, so that none is damaged or larger than it may be when it is installed.
func (p *Package) readAll(ctx context.Context) error {
	var manifest []byte
	for _, file := range p.files {
		into := io.Discard
		var content bytes.Buffer
		if file.name == WasmName || file.name == ManifestName || file.name == ReadmeName {
			into = &content
		}
		n, err := file.copyTo(ctx, into, MaxPackageTotal-p.Unpacked)
		if err != nil {
			return err
		}
		p.Unpacked += n
		switch file.name {
		case WasmName:
			p.Wasm = content.Bytes()
		case ManifestName:
			manifest = content.Bytes()
		case ReadmeName:
			p.Readme = bytes.Clone(content.Bytes()[:min(content.Len(), MaxReadme)])
		}
	}
	for _, required := range []string{ManifestName, WasmName} {
		if err := p.has(required); err != nil {
			return err
		}
	}
	if !bytes.HasPrefix(p.Wasm, []byte("\x00asm")) {
		return fmt.Errorf("its %s is no WebAssembly module", WasmName)
	}
	var err error
	if p.Manifest, p.Warnings, err = ParseManifest(manifest); err != nil && !listsCapabilities(manifest) && isNewer(p.Wasm) {
		return ErrNewer
	}
	return err
}

// has says what is wrong where a required file is missing.
func (p *Package) has(required string) error {
	for _, file := range p.files {
		if file.name == required {
			return nil
		}
	}
	for _, file := range p.files {
		switch {
		case strings.EqualFold(file.name, required):
			return fmt.Errorf("it has %s, which must be named %s", quote(file.name), required)
		case strings.HasSuffix(file.name, "/"+required):
			return fmt.Errorf("missing required %s: it has %s, pack the files and not their folder", required, quote(file.name))
		}
	}
	return fmt.Errorf("missing required %s", required)
}

// copyTo unpacks a file; room is how many bytes the package has left.
func (f packageFile) copyTo(ctx context.Context, into io.Writer, room int64) (int64, error) {
	content, err := f.content.Open()
	if err != nil {
		return 0, fmt.Errorf("%s cannot be unpacked: %w", quote(f.name), err)
	}
	defer func() { _ = content.Close() }() // nothing was written
	allowed := min(int64(f.content.CompressedSize64)*MaxPackageRatio, MaxPackageEntry, room)
	n, err := io.Copy(into, io.LimitReader(readerWithContext{ctx, content}, allowed+1))
	switch {
	case ctx.Err() != nil:
		return n, context.Cause(ctx)
	case n > MaxPackageEntry:
		return n, fmt.Errorf("%s has more than %d bytes", quote(f.name), MaxPackageEntry)
	case n > room:
		return n, fmt.Errorf("its files have more than %d bytes", MaxPackageTotal)
	case n > allowed:
		return n, fmt.Errorf("%s becomes more than %d times as long when it is unpacked", quote(f.name), MaxPackageRatio)
	case err != nil:
		return n, fmt.Errorf("%s cannot be unpacked: %w", quote(f.name), err)
	}
	return n, nil
}

// readerWithContext ends with its context.
type readerWithContext struct {
	ctx  context.Context
	from io.Reader
}

// Read implements io.Reader.
func (r readerWithContext) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.from.Read(p)
}
