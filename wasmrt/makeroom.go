package wasmrt

import (
	"errors"
	"path/filepath"
)

// MakeRoom removes the oldest compiled code from the folder of the cache until so many bytes
// are free that were not, or it is empty, and returns how many those are. That of modules that
// are loaded goes last, as they run without the files and a disk that is full is worse than a slow start.
func (r *Runtime) MakeRoom(bytes int64) (freed int64, err error) {
	if r.config.CacheDir == "" || bytes <= 0 {
		return 0, nil
	}
	before, err := cacheSize(r.config.CacheDir)
	if err != nil || before == 0 {
		return 0, err
	}
	// A limit of 0 would be none.
	limit := max(before-bytes, 1)
	if _, err = trimCache(r.config.CacheDir, limit, r.loaded.paths()); err == nil {
		_, err = trimCache(r.config.CacheDir, limit, nil)
	}
	after, sizeErr := cacheSize(r.config.CacheDir)
	return before - after, errors.Join(err, sizeErr)
}

// cacheSize is how many bytes the machine code below dir has.
func cacheSize(dir string) (size int64, err error) {
	if dir, err = filepath.EvalSymlinks(dir); err != nil { // which walking would not follow
		return 0, err
	}
	files, err := cachedFiles(dir)
	for _, f := range files {
		size += f.size
	}
	return size, err
}
