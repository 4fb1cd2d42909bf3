package watch

import (
	"bytes"
	"errors"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// quick looks without a reason only where the system does not tell.
var quick = Pace{Quiet: 10 * time.Millisecond, Poll: 10 * time.Millisecond, Check: time.Hour}

// files is a Subject: the files of some folders, by their content.
type files struct {
	folders []string
	onLook  func()
	taken   chan string

	mu   sync.Mutex
	last map[string]string
}

func (f *files) Folders() []string { return f.folders }

func (f *files) now() map[string]string {
	now := map[string]string{}
	for _, folder := range f.folders {
		paths, _ := filepath.Glob(filepath.Join(folder, "*"))
		for _, path := range paths {
			if content, err := os.ReadFile(path); err == nil {
				now[path] = string(content)
			}
		}
	}
	return now
}

func (f *files) Changed() map[string]string {
	if f.onLook != nil {
		f.onLook()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	maps.DeleteFunc(now, func(path, content string) bool { return f.last[path] == content })
	return now
}

func (f *files) Settled(path string) {
	f.mu.Lock()
	f.last[path] = f.now()[path]
	f.mu.Unlock()
	f.taken <- path
}

func newFiles(folders ...string) *files {
	f := &files{folders: folders, taken: make(chan string, 100), last: map[string]string{}}
	f.last = f.now()
	return f
}

// await fails unless the next change that is taken up is that of path.
func (f *files) await(t *testing.T, path string) {
	t.Helper()
	select {
	case got := <-f.taken:
		if got != path {
			t.Errorf("taken up %s, want %s", got, path)
		}
	case <-time.After(time.Minute):
		t.Fatalf("%s is not taken up", path)
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestChangeInAFolderIsTakenUp(t *testing.T) {
	folder := t.TempDir()
	f := newFiles(folder)
	w := Start(f, quick, slog.New(slog.DiscardHandler))
	defer w.Stop()
	for _, content := range []string{"one", "two"} {
		write(t, filepath.Join(folder, "file"), content)
		f.await(t, filepath.Join(folder, "file"))
	}
	// The folder itself is replaced.
	if err := os.Rename(folder, folder+".old"); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(folder + ".old") }()
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	w.Look()
	write(t, filepath.Join(folder, "file"), "three")
	w.Look()
	f.await(t, filepath.Join(folder, "file"))
	write(t, filepath.Join(folder, "file"), "four")
	f.await(t, filepath.Join(folder, "file"))
}

func TestChangeThatGoesOnIsNotTakenUp(t *testing.T) {
	folder := t.TempDir()
	f := newFiles(folder)
	busy, still := filepath.Join(folder, "busy"), filepath.Join(folder, "still")
	looks, release := 0, make(chan struct{})
	f.onLook = func() {
		looks++
		select {
		case <-release:
		default:
			write(t, busy, strings.Repeat("x", looks))
		}
	}
	w := Start(f, quick, slog.New(slog.DiscardHandler))
	defer w.Stop()
	write(t, still, "done")
	f.await(t, still) // which does not wait for the other
	close(release)
	f.await(t, busy)
}

func TestWhatTheSystemDoesNotTellIsLookedFor(t *testing.T) {
	for name, spoil := range map[string]func(*notices){
		"it gives no watch": func(n *notices) {
			n.close()
			n.watcher = nil
			n.report(errors.New("too many open files"))
		},
		"it takes fewer folders than there are": func(n *notices) { n.max = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			f := newFiles(t.TempDir(), t.TempDir(), t.TempDir())
			n := newNotices(slog.New(slog.NewTextHandler(&log, nil)))
			spoil(n)
			w := start(f, quick, slog.New(slog.DiscardHandler), n)
			for _, folder := range f.folders {
				path := filepath.Join(folder, "file")
				write(t, path, "one")
				f.await(t, path)
			}
			w.Stop()
			if got := strings.Count(log.String(), "the system does not tell about all changes"); got != 1 {
				t.Errorf("told %d times, want once:\n%s", got, log.String())
			}
		})
	}
}
