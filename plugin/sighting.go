package plugin

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Sighting is how a plugin looks from outside, without reading its files.
type Sighting struct {
	// ID is the plugin's id.
	ID string
	// Print is another text once the folder entry, plugin.wasm or manifest.json is another file, has another size or was
	// written again, or a plugin comes or goes that differs in nothing but case. It says nothing about what is in them.
	Print string
	// HasFiles says that at least one of its files is there, or that it is a symlink.
	HasFiles bool
	// Folders are those that its files lie in; several where there are symlinks.
	Folders []string
}

// Survey is how a plugins folder looks from outside, at one moment.
type Survey struct {
	// Sightings are those of its plugins, sorted by id: what [Scan] lists, without entries whose names are no ids.
	Sightings []Sighting
	// Strays are those of the folder, as [Strays] has them.
	Strays []string
	// Device names the file system that the folder is on. It is empty where the system does not tell.
	Device string
}

// IsEmpty says whether the folder has no plugin's file at all, as the empty place of a file system that is not mounted.
// Folders without either file, such as lost+found, are none.
func (s Survey) IsEmpty() bool {
	return !slices.ContainsFunc(s.Sightings, func(s Sighting) bool { return s.HasFiles })
}

// lookAttempts is how often a folder is looked at that changes meanwhile.
const lookAttempts = 3

// errUnstill says that a folder changes faster than it can be looked at.
var errUnstill = errors.New("it changes while it is looked at")

// Look lists the plugins of a folder as they are seen from outside. Its error is that of [Scan], or says that the folder
// does not stay the same, as while a file system is mounted over it.
func Look(dir string) (Survey, error) {
	var survey Survey
	err := errUnstill
	for attempt := 0; attempt < lookAttempts && errors.Is(err, errUnstill); attempt++ {
		survey, err = look(dir)
	}
	if err != nil {
		return Survey{}, fmt.Errorf("failed to read plugins directory %s: %w", dir, err)
	}
	return survey, nil
}

func look(dir string) (Survey, error) {
	names, before, err := listNames(dir)
	if err != nil {
		return Survey{}, err
	}
	survey := Survey{Strays: straysOf(dir, names), Device: deviceOf(before)}
	twins := twinsOf(dir, names)
	for _, name := range names {
		if checkID(name) != nil {
			continue
		}
		s := lookAt(dir, name, twins)
		if s.Print == "" && !isThere(filepath.Join(dir, name)) {
			return Survey{}, errUnstill
		}
		if s.Print != "" {
			survey.Sightings = append(survey.Sightings, s)
		}
	}
	// What was looked at by its path may have been in another folder.
	if after, err := os.Stat(dir); err != nil || !os.SameFile(before, after) {
		return Survey{}, errUnstill
	}
	return survey, nil
}

func isThere(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// LookAt is [Look] for the one plugin of this id. The Print of one that is not there, or that can have no such id, is
// empty.
func LookAt(dir, id string) Sighting {
	if checkID(id) != nil {
		return Sighting{ID: id}
	}
	names, _, _ := listNames(dir) // without a list the plugin itself tells why
	return lookAt(dir, id, twinsOf(dir, names))
}

func lookAt(dir, id string, twins map[string]string) Sighting {
	s := Sighting{ID: id}
	path := filepath.Join(dir, id)
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return s
	case err != nil:
		s.Print, s.HasFiles = err.Error(), true // as far as anybody knows
		return s
	case info.Mode().Type() != fs.ModeDir && info.Mode().Type() != fs.ModeSymlink:
		return s
	}
	parts := []string{"folder"}
	if info.Mode().Type() == fs.ModeSymlink {
		target, err := os.Readlink(path)
		parts[0] = fmt.Sprintf("link %q %v", target, err)
		s.HasFiles = true // it is somebody's, also where it leads nowhere
	}
	s.Folders = []string{path}
	for _, name := range []string{WasmName, ManifestName} {
		file := filepath.Join(path, name)
		is := filePrint(file)
		s.HasFiles = s.HasFiles || is != missing
		parts = append(parts, is)
		// The file itself may be a symlink to somewhere else.
		if real, err := filepath.EvalSymlinks(file); err == nil {
			s.Folders = append(s.Folders, filepath.Dir(real))
		}
	}
	if twin := twins[id]; twin != "" {
		parts = append(parts, fmt.Sprintf("after %q", twin))
	}
	s.Print = strings.Join(parts, "; ")
	return s
}

// missing is the print of a file that is not there.
const missing = "missing"

// filePrint tells a file from what it was, as far as the system knows without reading it.
func filePrint(path string) string {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return missing
	case err != nil:
		return err.Error()
	}
	return fmt.Sprintf("%v %d %d %s", info.Mode(), info.Size(), info.ModTime().UnixNano(), fileNumber(info))
}

// FolderDevice is the Device of a [Survey] of a folder, and empty if the folder cannot be looked at.
func FolderDevice(dir string) string {
	info, err := os.Stat(dir)
	if err != nil {
		return ""
	}
	return deviceOf(info)
}
