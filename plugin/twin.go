package plugin

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode"
)

// FoldID is the same for two ids that differ in nothing but case, which share the settings of a configuration, and for no
// others.
func FoldID(id string) string {
	return strings.Map(func(r rune) rune {
		for {
			next := unicode.SimpleFold(r)
			if next <= r {
				return next // the smallest of those that differ in case
			}
			r = next
		}
	}, strings.ToLower(id)) // which goes further for a few letters
}

// TwinError says that a plugin cannot be used beside first, from which it differs in nothing but case: it is an [ErrTwin].
func TwinError(id, first string) error {
	return fmt.Errorf("%s %w: %s, which comes first. Both would have the settings of [PluginConfig.%s]: rename or remove one",
		quote(id), ErrTwin, quote(first), strings.ToLower(id))
}

// twinsOf finds, among the sorted names in a plugins folder, the plugins that differ in nothing but case from one before
// them: that is the value.
func twinsOf(dir string, names []string) map[string]string {
	byFold := make(map[string][]string, len(names))
	for _, name := range names {
		if checkID(name) == nil {
			byFold[FoldID(name)] = append(byFold[FoldID(name)], name)
		}
	}
	twins := make(map[string]string)
	for _, alike := range byFold {
		first := ""
		for _, name := range alike {
			switch {
			case len(alike) == 1 || !isEntry(dir, name):
			case first == "":
				first = name
			default:
				twins[name] = first
			}
		}
	}
	return twins
}

// isEntry tells a directory or symlink from a plain file, which is no plugin.
func isEntry(dir, name string) bool {
	info, err := os.Lstat(filepath.Join(dir, name))
	return err == nil && (info.IsDir() || info.Mode().Type() == fs.ModeSymlink)
}
