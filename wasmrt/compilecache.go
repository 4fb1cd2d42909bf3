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

// cachedFile is machine code in a cache folder.
type cachedFile struct {
	path string
	size int64
	used time.Time
}

// cachedFiles are those below dir, the one that was used longest ago first. Files that vanish
// meanwhile are no error: several processes may share a folder.
func cachedFiles(dir string) (files []cachedFile, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return ignoreGone(err)
		case d.IsDir() && path != dir && (d.Name() == verdictFolder || strings.HasPrefix(d.Name(), translating)):
			return fs.SkipDir // which bound themselves, or are being written
		case d.IsDir():
			return nil
		}
		info, err := d.Info()
		if err == nil {
			files = append(files, cachedFile{path, info.Size(), info.ModTime()})
		}
		return ignoreGone(err)
	})
	slices.SortFunc(files, func(a, b cachedFile) int { return a.used.Compare(b.used) })
	return files, err
}

// ignoreGone leaves out that somebody else has removed a file.
func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// trimCache removes the machine code below dir that was used longest ago until no
// more than limit bytes are left, then the folders this empties, and returns how many bytes those
// files have that are loaded, by their paths below dir: they stay. A limit of 0 keeps everything.
func trimCache(dir string, limit int64, loaded map[string]bool) (kept int64, err error) {
	if dir == "" || limit <= 0 {
		return 0, nil
	}
	// The folder itself may be a link, which walking would not follow.
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return 0, err
	}
	files, err := cachedFiles(dir)
	if err != nil {
		return 0, err
	}
	isLoaded := func(f cachedFile) bool {
		code, err := filepath.Rel(dir, f.path)
		return err == nil && loaded[code]
	}
	var total int64
	for _, f := range files {
		total += f.size
		if isLoaded(f) {
			kept += f.size
		}
	}
	for _, f := range slices.DeleteFunc(files, isLoaded) {
		if total <= limit {
			break
		}
		if err := ignoreGone(os.Remove(f.path)); err != nil {
			return kept, err
		}
		total -= f.size
		if parent := filepath.Dir(f.path); parent != dir {
			// Fails where the folder still holds something, as it should.
			_ = os.Remove(parent)
		}
	}
	return kept, nil
}

// isDiskFault says whether an error is of the disk or of the rights on it, and not of what is
// in a file.
func isDiskFault(err error) bool {
	var fault *fs.PathError
	return errors.As(err, &fault) && !errors.Is(err, fs.ErrNotExist)
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
