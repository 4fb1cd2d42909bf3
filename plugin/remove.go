package plugin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// ErrLeftBehind says that the plugins folder is as it should be, but files that nobody needs are left in it under a hidden
// name.
var ErrLeftBehind = errors.New("files are left behind")

// Remove takes the plugin of this id out of the folder, whether it could be used or not, and says whether it was a symlink;
// what that pointed to stays. The plugin is gone at once and as a whole: its files are deleted under a hidden name. A mark
// stays, by which [RemovalMark] tells that it is gone on purpose. The
// error is [ErrBadID], [ErrNotFound], [ErrLeftBehind], the cause of ctx, or what the system says.
func Remove(ctx context.Context, dir, id string) (symlink bool, err error) {
	if err := checkID(id); err != nil {
		return false, err
	}
	path := filepath.Join(dir, id)
	if _, err := removable(path, id); err != nil {
		return false, err
	}
	f, err := stage(ctx, dir)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	if symlink, err = removable(path, id); err != nil {
		return false, err
	}
	// The mark comes first: who finds the plugin gone finds it.
	if err := f.mark(id); err != nil {
		return symlink, fmt.Errorf("the mark of the removal: %w", err)
	}
	if symlink {
		return true, os.Remove(path)
	}
	return false, explainMount(os.Rename(path, filepath.Join(f.hidden, "removed")))
}

// removable says whether a plugin is a symlink, or why it is none.
func removable(path, id string) (symlink bool, err error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, fmt.Errorf("%w: %s (path: %s)", ErrNotFound, id, path)
	case err != nil:
		return false, err
	case info.Mode().Type() == fs.ModeSymlink:
		return true, nil
	case !info.IsDir():
		return false, fmt.Errorf("%w: %s is not a directory", ErrNotFound, path)
	default:
		return false, nil
	}
}
