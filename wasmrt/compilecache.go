package wasmrt

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// trimCache removes the machine code below dir that was used longest ago until no
// more than limit bytes are left, then the folders this empties. A limit of 0 keeps everything. Files
// that vanish meanwhile are no error: several replicas may share a folder.
func trimCache(dir string, limit int64) error {
	if dir == "" || limit <= 0 {
		return nil
	}
	// The folder itself may be a link, which walking would not follow.
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return err
	}
	type entry struct {
		path string
		size int64
		used time.Time
	}
	var entries []entry
	var total int64
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case d.IsDir() && path != dir && (d.Name() == verdictFolder || strings.HasPrefix(d.Name(), translating)):
			return fs.SkipDir // which bound themselves, or are being written
		case d.IsDir():
			return nil
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		entries = append(entries, entry{path, info.Size(), info.ModTime()})
		total += info.Size()
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(entries, func(a, b entry) int { return a.used.Compare(b.used) })
	for _, e := range entries {
		if total <= limit {
			break
		}
		if err := os.Remove(e.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		total -= e.size
		if parent := filepath.Dir(e.path); parent != dir {
			// Fails where the folder still holds something, as it should.
			_ = os.Remove(parent)
		}
	}
	return nil
}

// emptyCache removes all files below dir; the folders are wazero's.
func emptyCache(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	err = fs.WalkDir(root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			err = root.Remove(path)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	return errors.Join(err, root.Close())
}
