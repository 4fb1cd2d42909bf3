package author

import (
	"os"
	"path/filepath"

	"golang.org/x/mod/modfile"

	"github.com/pluginhost/pluginhost/internal/regular"
)

// standsAlone tells whether a plugin is a module that lies in a checkout of the SDK: its workspace does not have the plugin, and
// cannot, as it belongs to the repository. An author's own workspace is the author's business.
func standsAlone(dir string) bool {
	if os.Getenv("GOWORK") != "" {
		return false
	}
	own, checkout := around(dir, "go.mod"), around(dir, "go.work")
	if own == "" || own == checkout || !IsCheckout(checkout) {
		return false
	}
	content, err := regular.Read(filepath.Join(checkout, "go.work"), maxModFile)
	if err != nil {
		return false
	}
	work, err := modfile.ParseWork("go.work", content, nil)
	if err != nil {
		return false
	}
	for _, use := range work.Use {
		if filepath.Join(checkout, filepath.FromSlash(use.Path)) == own {
			return false
		}
	}
	return true
}

// around is the innermost folder around another one, or that itself, that has a file; empty if there is none.
func around(dir, name string) string {
	for ; ; dir = filepath.Dir(dir) {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil && info.Mode().IsRegular() {
			return dir
		}
		if dir == filepath.Dir(dir) {
			return ""
		}
	}
}
