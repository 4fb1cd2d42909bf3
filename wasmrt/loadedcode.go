package wasmrt

import (
	"maps"
	"sync"
)

// loadedCode are the files of the cache folder whose machine code modules of this process
// run. They are what the next start needs, so they stay in the folder whatever its bound. Of
// other processes that share the folder nothing is known: what they have loaded is in
// their memory, and what they read now they look for again.
type loadedCode struct {
	mu    sync.Mutex
	files map[string]int // paths below the folder, and how many modules run each
	told  int64          // the bytes of all in the last warning
}

// take keeps a file until drop is called. An empty path is none.
func (l *loadedCode) take(file string) (drop func()) {
	if file == "" {
		return func() {}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.files == nil {
		l.files = make(map[string]int)
	}
	l.files[file]++
	return sync.OnceFunc(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.files[file]--; l.files[file] == 0 {
			delete(l.files, file)
		}
	})
}

// paths are those that are kept now.
func (l *loadedCode) paths() map[string]bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	paths := make(map[string]bool, len(l.files))
	for path := range maps.Keys(l.files) {
		paths[path] = true
	}
	return paths
}

// news says whether the sum differs from what the last warning told, and notes it.
func (l *loadedCode) news(bytes int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	changed := bytes != l.told
	l.told = bytes
	return changed
}

// TrimCache bounds the cache folder by CacheSize. The code of modules that are loaded
// stays; a warning tells if it exceeds the bound alone. Whoever has set
// Config.KeepUntilTrimmed calls it once the modules are loaded that are there at the start.
func (r *Runtime) TrimCache() {
	r.trimming.Lock()
	defer r.trimming.Unlock()
	r.mu.Lock()
	r.keeping = false
	r.mu.Unlock()
	r.trim()
}

// compiled bounds the cache folder after something was added to it.
func (r *Runtime) compiled() {
	r.trimming.Lock()
	defer r.trimming.Unlock()
	r.mu.Lock()
	keeping := r.keeping
	r.mu.Unlock()
	if !keeping {
		r.trim()
	}
}

// trim does what TrimCache does; trimming is locked.
func (r *Runtime) trim() {
	dir, limit, loaded := r.config.CacheDir, r.config.CacheSize, r.loaded.paths()
	bytes, err := trimCache(dir, limit, loaded)
	if err != nil {
		r.config.Logger.Warn("compile cache could not be trimmed", "dir", dir, "error", err)
	}
	if limit > 0 && r.loaded.news(bytes) && bytes > limit {
		r.config.Logger.Warn("the compiled code of the plugins that are loaded exceeds [Plugins] CacheSize: it stays, raise the setting and see to the room on the disk",
			"plugins", len(loaded), "bytes", bytes, "[Plugins] CacheSize", limit, "dir", dir)
	}
}
