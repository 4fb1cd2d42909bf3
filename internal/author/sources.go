package author

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/pluginhost/pluginhost/internal/watch"
	"github.com/pluginhost/pluginhost/plugin"
)

const (
	maxSources = 10_000 // files and folders
	// quiet is how long nothing may have been saved before the plugin is built: editors
	// write a file in several steps.
	quiet = 60 * time.Millisecond
)

// Sources tells when the source of a plugin has been saved.
type Sources struct {
	dir     string
	watcher *watch.Watcher
	saved   chan struct{}
	seen    string // how the source looked that was told of last
	// compiled says that it is in Go; else only what other tools make of it is watched.
	compiled bool
}

// WatchSources watches a plugin's folder. One without Go files is built by other tools, and
// what they make is watched. Whoever has the Sources stops them.
func WatchSources(dir string, log *slog.Logger) (*Sources, error) {
	dir, err := filepath.EvalSymlinks(dir) // nobody walks into a link
	if err != nil {
		return nil, err
	}
	s := &Sources{dir: dir, saved: make(chan struct{}, 1)}
	if s.compiled, err = IsCompiled(dir); err != nil {
		return nil, err
	}
	_, s.seen = s.look()
	s.watcher = watch.Start(s, watch.Pace{Quiet: quiet}, log)
	return s, nil
}

// Saved has a token when the source has changed since the last one was taken.
func (s *Sources) Saved() <-chan struct{} { return s.saved }

// Stop ends the watch.
func (s *Sources) Stop() { s.watcher.Stop() }

// Folders implements watch.Subject.
func (s *Sources) Folders() []string {
	folders, _ := s.look()
	return folders
}

// Changed implements watch.Subject.
func (s *Sources) Changed() map[string]string {
	if _, now := s.look(); now != s.seen {
		return map[string]string{"": now}
	}
	return nil
}

// Settled implements watch.Subject.
func (s *Sources) Settled(string) {
	_, s.seen = s.look()
	select {
	case s.saved <- struct{}{}:
	default: // nobody has looked since
	}
}

// look lists the folders of the source and tells what its files look like. What the build
// makes is no source, nor is what is hidden.
func (s *Sources) look() (folders []string, looks string) {
	sum, n := sha256.New(), 0
	_ = filepath.WalkDir(s.dir, func(path string, entry fs.DirEntry, failed error) error {
		name := filepath.Base(path)
		n++
		if failed != nil {
			return nil //nolint:nilerr // it is being replaced
		}
		switch {
		case n > maxSources:
			return fs.SkipAll
		case path != s.dir && strings.HasPrefix(name, "."), name == "node_modules":
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		case entry.IsDir():
			folders = append(folders, path)
			return nil
		case filepath.Ext(name) == plugin.PackageExt,
			s.compiled && name == plugin.WasmName,
			!s.compiled && name != plugin.WasmName && name != plugin.ManifestName:
			return nil
		}
		if info, err := entry.Info(); err == nil {
			_, _ = fmt.Fprintln(sum, path, info.Size(), info.ModTime().UnixNano())
		}
		return nil
	})
	return folders, hex.EncodeToString(sum.Sum(nil))
}
