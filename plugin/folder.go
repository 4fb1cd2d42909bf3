package plugin

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pluginhost/pluginhost/internal/regular"
)

// MaxWasmSize is the largest plugin.wasm that is read, in bytes.
const MaxWasmSize = 64 << 20

// The two files of a plugin, in its folder and in its package.
const (
	WasmName     = "plugin.wasm"
	ManifestName = "manifest.json"
)

const (
	maxFolderEntries = 10_000 // hidden entries and plain files included
	maxIDSize        = 255    // bytes, what file systems allow for a name
	maxNewIDSize     = 100    // bytes, of a plugin that is installed
)

var (
	// ErrNotFound is in the Err of an [Entry] from [Load] when the plugins folder has no plugin of that id.
	ErrNotFound = errors.New("plugin not found")
	// ErrBadID is in the Err of an [Entry] whose id is not one plain path element, or begins with a dot.
	ErrBadID = errors.New("not a plugin id")
	// ErrTwin is in the Err of an [Entry] whose id differs in nothing but case from one that sorts before it.
	ErrTwin = errors.New("differs from another plugin in nothing but case")
)

// Entry is one plugin of the plugins folder, usable or not.
type Entry struct {
	// ID is the name of the directory or symlink in the plugins folder, as it is.
	ID string
	// Dir is the plugin's directory: for a symlink what it points to, even if that is not there.
	Dir string
	// WasmPath and ManifestPath are the plugin's two files; empty if Dir is not a directory.
	WasmPath, ManifestPath string
	// Manifest is nil exactly when Err is not.
	Manifest *Manifest
	// Warnings are those of the manifest.
	Warnings []Problem
	// Symlink tells that the entry is a symlink, as for a plugin under development.
	Symlink bool
	// Err says why the plugin cannot be used. It holds a [*ManifestError] if the manifest is at fault.
	Err error

	manifestSum [sha256.Size]byte // of the bytes that Manifest was read from
}

// Scan lists the plugins of a folder, sorted by id. Hidden entries and plain files are left out. A plugin that
// cannot be used is in the list, with its Err. The error of Scan itself says that the folder cannot be read, or has more
// than 10000 entries.
func Scan(dir string) ([]Entry, error) {
	names, _, err := listNames(dir)
	if err != nil {
		return nil, fmt.Errorf("failed to read plugins directory %s: %w", dir, err)
	}
	var entries []Entry
	twins := twinsOf(dir, names)
	for _, name := range names {
		if strings.HasPrefix(name, ".") {
			continue
		}
		entry, isPlugin := inspect(dir, name, twins)
		if !isPlugin {
			continue
		}
		if err := checkID(name); err != nil { // a name that Load would refuse must not load here
			entry = Entry{ID: name, Err: err}
		}
		entries = append(entries, entry)
	}
	return entries, nil
}

// Load looks at the one plugin of this id; the id may come from anywhere. If the plugin cannot be used, its Err says why:
// [ErrBadID], [ErrNotFound], or what [Scan] says of it.
func Load(dir, id string) Entry {
	if err := checkID(id); err != nil {
		return Entry{ID: id, Err: err}
	}
	names, _, err := listNames(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Entry{ID: id, Err: fmt.Errorf("failed to read plugins directory %s: %w", dir, err)}
	}
	entry, isPlugin := inspect(dir, id, twinsOf(dir, names))
	if !isPlugin {
		return Entry{ID: id, Err: fmt.Errorf("%w: %s is not a directory", ErrNotFound, filepath.Join(dir, id))}
	}
	if entry.Dir == "" && errors.Is(entry.Err, fs.ErrNotExist) { // the entry itself, not something in it
		entry.Err = fmt.Errorf("%w: %w", ErrNotFound, entry.Err)
	}
	return entry
}

// LoadAt looks at a plugin in a directory outside of the plugins folder, under this id. If the plugin cannot be used, its
// Err says why: [ErrBadID], or what [Scan] says of its files.
func LoadAt(dir, id string) Entry {
	entry := Entry{ID: id, Dir: dir, Err: checkID(id)}
	if entry.Err == nil {
		entry.readFiles()
	}
	return entry
}

// ReadWasm reads plugin.wasm and does not look at what is in it. It fails on an entry with an Err, and if the file is
// gone, is not a regular file, or has more than [MaxWasmSize] bytes.
func (e Entry) ReadWasm() ([]byte, error) {
	if e.Err != nil {
		return nil, fmt.Errorf("failed to read wasm file: plugin %s cannot be used: %w", quote(e.ID), e.Err)
	}
	wasm, err := regular.Read(e.WasmPath, MaxWasmSize+1)
	if err != nil {
		return nil, fmt.Errorf("failed to read wasm file: %w", err)
	}
	if len(wasm) > MaxWasmSize {
		return nil, fmt.Errorf("failed to read wasm file: %s has more than %d bytes; build it without debug information", e.WasmPath, MaxWasmSize)
	}
	return wasm, nil
}

// Read reads plugin.wasm as [Entry.ReadWasm] does, and returns it with the [FilesDigest] of it and of the manifest.json
// that Manifest was read from, whatever is in that file by now.
func (e Entry) Read() (wasm []byte, digest string, err error) {
	if wasm, err = e.ReadWasm(); err != nil {
		return nil, "", err
	}
	return wasm, digestOf(sha256.Sum256(wasm), e.manifestSum), nil
}

// listNames returns what is in a folder, sorted, and what the system knows of the folder that was read.
func listNames(dir string) (names []string, is fs.FileInfo, err error) {
	folder, err := openFolder(dir)
	if err != nil {
		return nil, nil, folderError(err)
	}
	defer func() { _ = folder.Close() }() // nothing was written
	if is, err = folder.Stat(); err != nil {
		return nil, nil, folderError(err)
	}
	for len(names) <= maxFolderEntries {
		more, err := folder.Readdirnames(maxFolderEntries + 1 - len(names))
		names = append(names, more...)
		if errors.Is(err, io.EOF) {
			slices.Sort(names)
			return names, is, nil
		}
		if err != nil {
			return nil, nil, folderError(err)
		}
	}
	return nil, nil, fmt.Errorf("it has more than %d entries; give the plugins a folder of their own", maxFolderEntries)
}

// folderError says what to do about a folder that cannot be read.
func folderError(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w; the user as whom this runs may not read it: look at its owner and mode", err)
	}
	return fmt.Errorf("%w; check the plugins folder setting", err)
}

// openFolder opens a folder and nothing else: to open a named pipe would take for ever.
func openFolder(dir string) (*os.File, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%s is not a folder", dir)
	}
	return os.Open(dir)
}

// inspect looks at one entry of the plugins folder; isPlugin is false if it is neither a directory nor a symlink.
func inspect(dir, id string, twins map[string]string) (entry Entry, isPlugin bool) {
	entry = Entry{ID: id}
	path := filepath.Join(dir, id)
	info, err := os.Lstat(path)
	if err != nil {
		entry.Err = fmt.Errorf("failed to stat entry %s: %w", path, err)
		return entry, true
	}
	switch info.Mode().Type() {
	case fs.ModeDir:
		entry.Dir = path
	case fs.ModeSymlink:
		entry.Symlink = true
		entry.Dir, entry.Err = followLink(path)
	default:
		return Entry{}, false
	}
	if entry.Err == nil {
		entry.readFiles()
	}
	if twin := twins[id]; twin != "" {
		entry.Manifest, entry.Warnings, entry.Err = nil, nil, TwinError(id, twin)
	}
	return entry, true
}

// followLink returns the directory a symlink points to, also when that is not usable. Only one step
// is resolved, so that Dir is the folder the developer linked.
func followLink(path string) (target string, err error) {
	target, err = os.Readlink(path)
	if err != nil {
		return "", fmt.Errorf("failed to resolve symlink %s: %w; make the link again", path, err)
	}
	if !filepath.IsAbs(target) {
		target = filepath.Join(filepath.Dir(path), target)
	}
	info, err := os.Stat(target)
	if err != nil {
		return target, fmt.Errorf("failed to stat symlink target %s: %w; restore that folder or remove the link", target, err)
	}
	if !info.IsDir() {
		return target, fmt.Errorf("symlink target is not a directory: %s; link the folder that holds plugin.wasm and manifest.json", target)
	}
	return target, nil
}

// readFiles fills in what the plugin's directory holds.
func (e *Entry) readFiles() {
	e.WasmPath = filepath.Join(e.Dir, WasmName)
	e.ManifestPath = filepath.Join(e.Dir, ManifestName)
	if _, err := os.Stat(e.WasmPath); err != nil {
		e.Err = fmt.Errorf("no plugin.wasm found: %w; put the built plugin into this folder", err)
		return
	}
	data, err := regular.Read(e.ManifestPath, MaxManifestSize+1)
	if err != nil {
		e.Err = fmt.Errorf("failed to load manifest: failed to read manifest file: %w; put the plugin's manifest into this folder", err)
		return
	}
	e.manifestSum = sha256.Sum256(data)
	if e.Manifest, e.Warnings, err = ParseManifest(data); err != nil {
		e.Err = fmt.Errorf("failed to load manifest: %w", err)
		if !listsCapabilities(data) {
			if wasm, err := regular.Read(e.WasmPath, MaxWasmSize); err == nil && isNewer(wasm) {
				e.Err = ErrNewer
			}
		}
	}
}

// checkID refuses ids that are not the name of one visible folder entry on every system.
func checkID(id string) error {
	switch {
	case id == "":
		return fmt.Errorf("%w: it is empty", ErrBadID)
	case len(id) > maxIDSize:
		return fmt.Errorf("%w: %s has more than %d bytes", ErrBadID, quote(id), maxIDSize)
	case strings.HasPrefix(id, "."):
		return fmt.Errorf("%w: %s begins with a dot", ErrBadID, quote(id))
	case strings.ContainsAny(id, "/\\\x00"):
		return fmt.Errorf("%w: %s has a slash, a backslash or a zero byte; name the folder without", ErrBadID, quote(id))
	}
	return nil
}

// CheckNewID says why a plugin is not to have an id from now on: [ErrBadID].
func CheckNewID(id string) error {
	if err := checkID(id); err != nil {
		return err
	}
	switch {
	case len(id) > maxNewIDSize:
		return fmt.Errorf("%w: %s has more than %d bytes", ErrBadID, quote(id), maxNewIDSize)
	case strings.TrimSpace(id) != id:
		return fmt.Errorf("%w: %s begins or ends with a space", ErrBadID, quote(id))
	case !utf8.ValidString(id) || strings.ContainsFunc(id, isHidden):
		return fmt.Errorf("%w: %s has characters that cannot be seen", ErrBadID, quote(id))
	}
	return nil
}

// isHidden tells what cannot be seen, or shows other characters in another order.
func isHidden(r rune) bool { return r != ' ' && !unicode.IsPrint(r) }
