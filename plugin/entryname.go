package plugin

import (
	"archive/zip"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"unicode/utf8"
)

const (
	maxEntryName    = 1024 // bytes
	maxEntryElement = 255  // bytes, what file systems allow for a name
)

// entryNames are the names in a package, by what a file system that ignores case makes of them.
type entryNames map[string]entryName

type entryName struct {
	name   string
	folder bool
}

// add checks the name and the kind of an entry against those before. It returns the name of a file, and nothing for a
// folder.
func (n entryNames) add(entry *zip.File) (file string, err error) {
	name, isFolder := strings.CutSuffix(entry.Name, "/")
	if err := checkEntryName(name); err != nil {
		return "", fmt.Errorf("illegal file path in plugin package: %s: %w", quote(entry.Name), err)
	}
	switch {
	case entry.Flags&1 != 0:
		return "", fmt.Errorf("%s is encrypted", quote(name))
	case isFolder != entry.Mode().IsDir() || !isFolder && !entry.Mode().IsRegular():
		return "", fmt.Errorf("%s is not a plain file: %s", quote(name), kindOf(entry.Mode()))
	}
	if err := n.put(entryName{name, isFolder}); err != nil {
		return "", err
	}
	for parent := path.Dir(name); parent != "."; parent = path.Dir(parent) {
		if err := n.put(entryName{parent, true}); err != nil {
			return "", err
		}
	}
	if isFolder {
		return "", nil
	}
	return name, nil
}

// put adds a name; a folder may be there before.
func (n entryNames) put(e entryName) error {
	before, known := n[strings.ToLower(e.name)]
	switch {
	case !known:
		n[strings.ToLower(e.name)] = e
		return nil
	case before.name != e.name:
		return fmt.Errorf("%s and %s differ in nothing but case", quote(before.name), quote(e.name))
	case before.folder != e.folder:
		return fmt.Errorf("%s is both a file and a folder", quote(e.name))
	case !e.folder:
		return fmt.Errorf("it has %s twice", quote(e.name))
	default:
		return nil
	}
}

// kindOf says what an entry is that is no plain file.
func kindOf(mode fs.FileMode) string {
	switch {
	case mode.Type() == fs.ModeSymlink:
		return "a symbolic link"
	case mode.IsDir():
		return "a folder"
	default:
		return mode.Type().String()
	}
}

// checkEntryName refuses what is not a path below the plugin's folder on every system.
func checkEntryName(name string) error {
	switch {
	case len(name) > maxEntryName:
		return fmt.Errorf("it has more than %d bytes", maxEntryName)
	case !utf8.ValidString(name):
		return errors.New("it is not UTF-8")
	case name == "." || !fs.ValidPath(name):
		return errors.New("it does not lie below the plugin's folder")
	case strings.ContainsAny(name, `\:`):
		return errors.New("it has a backslash or a colon")
	case strings.ContainsFunc(name, isHidden):
		return errors.New("it has a control character")
	}
	for element := range strings.SplitSeq(name, "/") {
		if len(element) > maxEntryElement {
			return fmt.Errorf("%s has more than %d bytes", quote(element), maxEntryElement)
		}
	}
	return nil
}
