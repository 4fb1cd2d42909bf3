package plugin

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Sighting is how a plugin looks from outside, without reading its files.
type Sighting struct {
	// ID is the plugin's id.
	ID string
	// Print is another text once the folder entry, plugin.wasm or manifest.json is another file, has another size or was
	// written again. It says nothing about what is in them.
	Print string
	// Folders are those that its files lie in; several where there are symlinks.
	Folders []string
}

// Look lists the plugins of a folder as they are seen from outside, sorted by id. It lists what [Scan] does, without
// entries whose names are no ids, and its error is that of Scan.
func Look(dir string) ([]Sighting, error) {
	names, err := listNames(dir)
	if err != nil {
		return nil, fmt.Errorf("failed to read plugins directory %s: %w", dir, err)
	}
	var sightings []Sighting
	for _, name := range names {
		if s := LookAt(dir, name); s.Print != "" {
			sightings = append(sightings, s)
		}
	}
	return sightings, nil
}

// LookAt is Look for the one plugin of this id. The Print of one that is not there, or that can have no such id, is
// empty.
func LookAt(dir, id string) Sighting {
	s := Sighting{ID: id}
	if checkID(id) != nil {
		return s
	}
	path := filepath.Join(dir, id)
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return s
	case err != nil:
		s.Print = err.Error()
		return s
	case info.Mode().Type() != fs.ModeDir && info.Mode().Type() != fs.ModeSymlink:
		return s
	}
	parts := []string{"folder"}
	if info.Mode().Type() == fs.ModeSymlink {
		target, err := os.Readlink(path)
		parts[0] = fmt.Sprintf("link %q %v", target, err)
	}
	s.Folders = []string{path}
	for _, name := range []string{WasmName, ManifestName} {
		file := filepath.Join(path, name)
		parts = append(parts, filePrint(file))
		// The file itself may be a symlink to somewhere else.
		if real, err := filepath.EvalSymlinks(file); err == nil {
			s.Folders = append(s.Folders, filepath.Dir(real))
		}
	}
	s.Print = strings.Join(parts, "; ")
	return s
}

// filePrint tells a file from what it was, as far as the system knows without reading it.
func filePrint(path string) string {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "missing"
	case err != nil:
		return err.Error()
	}
	return fmt.Sprintf("%v %d %d %s", info.Mode(), info.Size(), info.ModTime().UnixNano(), fileNumber(info))
}
