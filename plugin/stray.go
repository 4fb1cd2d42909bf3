package plugin

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// wasmExt is how the names of modules end.
const wasmExt = ".wasm"

// Strays are the names of files of a plugins folder that look like plugins and are none, sorted: packages that nobody has
// installed, and modules without a folder.
func Strays(dir string) ([]string, error) {
	names, _, err := listNames(dir)
	if err != nil {
		return nil, fmt.Errorf("failed to read plugins directory %s: %w", dir, err)
	}
	return straysOf(dir, names), nil
}

func straysOf(dir string, names []string) (strays []string) {
	for _, name := range names {
		if ext := strings.ToLower(filepath.Ext(name)); strings.HasPrefix(name, ".") || ext != PackageExt && ext != wasmExt {
			continue
		}
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil && info.Mode().IsRegular() {
			strays = append(strays, name)
		}
	}
	return strays
}

// StrayText says what to do about the [Strays] of a folder; empty is that there are none.
func StrayText(dir string, strays []string) string {
	if len(strays) == 0 {
		return ""
	}
	first := strays[0]
	text := fmt.Sprintf("%s lies in the plugins folder and is no plugin there: ", quote(first))
	if strings.EqualFold(filepath.Ext(first), PackageExt) {
		text += "pluginhost plugin install " + filepath.Join(dir, first)
	} else {
		text += fmt.Sprintf("a plugin is a folder with %s and %s, or a package for pluginhost plugin install", WasmName, ManifestName)
	}
	if more := len(strays) - 1; more > 0 {
		text += fmt.Sprintf(" (and %d more such files)", more)
	}
	return text
}
