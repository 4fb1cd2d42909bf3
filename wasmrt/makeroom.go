package wasmrt

import (
	"errors"
	"io/fs"
	"path/filepath"
)

// MakeRoom removes the oldest compiled code from the folder of the cache until so many bytes
// are free that were not, or it is empty, and returns how many those are. Modules that are
// loaded keep theirs.
func (r *Runtime) MakeRoom(bytes int64) (freed int64, err error) {
	if r.config.CacheDir == "" || bytes <= 0 {
		return 0, nil
	}
	before, err := cacheSize(r.config.CacheDir)
	if err != nil || before == 0 {
		return 0, err
	}
	// A limit of 0 would be none.
	err = trimCache(r.config.CacheDir, max(before-bytes, 1))
	after, sizeErr := cacheSize(r.config.CacheDir)
	return before - after, errors.Join(err, sizeErr)
}

// cacheSize is how many bytes the files below dir have.
func cacheSize(dir string) (size int64, err error) {
	if dir, err = filepath.EvalSymlinks(dir); err != nil { // which walking would not follow
		return 0, err
	}
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return ignoreGone(err)
		}
		info, err := d.Info()
		if err == nil {
			size += info.Size()
		}
		return ignoreGone(err)
	})
	return size, err
}

// ignoreGone leaves out that somebody else has removed a file.
func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
