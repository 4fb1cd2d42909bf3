package plugin

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Remove takes the plugin of this id out of the folder, whether it could be used or not, and says whether it was a symlink;
// what that pointed to stays. The plugin is gone at once and as a whole: its files are deleted under a hidden name. The
// error is [ErrBadID], [ErrNotFound], or what the system says; after another one hidden files may be left.
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
	err = os.Rename(path, filepath.Join(hidden, "plugin"))
	if err = errors.Join(err, os.RemoveAll(hidden)); err != nil {
		return false, fmt.Errorf("remove plugin %s: %w", id, err)
	}
	return false, nil
}
