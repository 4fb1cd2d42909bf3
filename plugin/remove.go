package plugin

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// ErrLeftBehind says that a plugin is removed, but files of it are left under a hidden name.
var ErrLeftBehind = errors.New("files of the plugin are left behind")

// Remove takes the plugin of this id out of the folder, whether it could be used or not, and says whether it was a symlink;
// what that pointed to stays. The plugin is gone at once and as a whole: its files are deleted under a hidden name. The
// error is [ErrBadID], [ErrNotFound], [ErrLeftBehind], or what the system says.
func Remove(dir, id string) (symlink bool, err error) {
	if err := checkID(id); err != nil {
		return false, err
	}
	path := filepath.Join(dir, id)
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, fmt.Errorf("%w: %s (path: %s)", ErrNotFound, id, path)
	case err != nil:
		return false, fmt.Errorf("remove plugin %s: %w", id, err)
	case info.Mode().Type() == fs.ModeSymlink:
		return true, os.Remove(path)
	case !info.IsDir():
		return false, fmt.Errorf("%w: %s is not a directory", ErrNotFound, path)
	}
	hidden, err := os.MkdirTemp(dir, ".removed-")
	if err != nil {
		return false, fmt.Errorf("remove plugin %s: %w", id, err)
	}
	if err := os.Rename(path, filepath.Join(hidden, "plugin")); err != nil {
		return false, fmt.Errorf("remove plugin %s: %w", id, errors.Join(err, os.Remove(hidden)))
	}
	if err := os.RemoveAll(hidden); err != nil {
		return false, fmt.Errorf("%w in %s, which can be deleted: %w", ErrLeftBehind, hidden, err)
	}
	return false, nil
}
