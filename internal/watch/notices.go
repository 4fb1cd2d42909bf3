package watch

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/fsnotify/fsnotify"
)

// maxFolders bounds how many folders the system is asked to tell about.
const maxFolders = 4096

// notices are what the system tells about a set of folders.
type notices struct {
	log     *slog.Logger
	max     int                    // folders
	watcher *fsnotify.Watcher      // nil where the system gives none
	folders map[string]os.FileInfo // those it tells about, by their real paths
	// complete says that it tells about all that it was asked to.
	complete bool
	reported bool // that it is not

	hint   chan struct{} // has a token after any event
	faults chan error    // has the last one that was not taken
	done   sync.WaitGroup
}

func newNotices(log *slog.Logger) *notices {
	n := &notices{
		log: log, max: maxFolders, folders: make(map[string]os.FileInfo),
		hint: make(chan struct{}, 1), faults: make(chan error, 1),
	}
	var err error
	if n.watcher, err = fsnotify.NewWatcher(); err != nil {
		n.watcher = nil
		n.report(err)
		return n
	}
	n.done.Go(n.receive)
	return n
}

// receive takes what the system tells, always: fsnotify holds a lock until it
// is taken.
func (n *notices) receive() {
	for {
		select {
		case _, open := <-n.watcher.Events:
			if !open {
				return
			}
			select {
			case n.hint <- struct{}{}:
			default:
			}
		case err, open := <-n.watcher.Errors:
			if !open {
				return
			}
			select {
			case n.faults <- err:
			default:
			}
		}
	}
}

func (n *notices) close() {
	if n.watcher != nil {
		_ = n.watcher.Close() // nothing is lost with it
		n.done.Wait()
	}
}

// report logs what keeps the system from telling everything, once until it does
// again.
func (n *notices) report(err error) {
	if errors.Is(err, fsnotify.ErrEventOverflow) {
		return // the look that follows makes up for it
	}
	n.complete = false
	if !n.reported {
		n.reported = true
		n.log.Warn("the system does not tell about all changes of files: they are looked for every "+defaultPoll.String()+
			" (on Linux fs.inotify.max_user_watches and max_user_instances can be raised)", "error", err)
	}
}

// follow changes the set of folders. One that is not there, or is another one
// under the same path, is dropped and comes back with the next call.
func (n *notices) follow(folders []string) {
	if n.watcher == nil {
		return
	}
	now := make(map[string]os.FileInfo, len(folders))
	for _, folder := range folders {
		// Two paths to one folder would share a watch, and lose it together.
		path, err := filepath.EvalSymlinks(folder)
		if err != nil {
			continue
		}
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			now[path] = info
		}
	}
	told := make(map[string]bool)
	for _, path := range n.watcher.WatchList() { // without those that were removed or moved away
		told[path] = true
	}
	for path, before := range n.folders {
		if info, wanted := now[path]; !wanted || !told[path] || !os.SameFile(before, info) {
			_ = n.watcher.Remove(path) // it may be gone by itself
			delete(n.folders, path)
		}
	}
	complete := true
	for path, info := range now {
		if _, known := n.folders[path]; known {
			continue
		}
		err := errTooMany
		if len(n.folders) < n.max {
			err = n.watcher.Add(path)
		}
		switch {
		case err == nil:
			n.folders[path] = info
		case errors.Is(err, os.ErrNotExist):
		default:
			complete = false
			n.report(err)
		}
		if !complete {
			break
		}
	}
	if complete {
		n.complete, n.reported = true, false
	}
}

var errTooMany = errors.New("too many folders to be told about")
