// Package guests makes plugins for tests: compiled from Go with the plugin
// contract of this repository, or written byte by byte.
package guests

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/gofrs/flock"
)

// The guests below src.
const (
	// Probe is a MetadataAgent and Scrobbler that answers honestly or
	// misbehaves, as the name in the request says; see its source.
	Probe = "probe"
	// Lifecycle has an OnInit that fails as its configuration says.
	Lifecycle = "lifecycle"
	// FirstSync has an OnInit that fails while Navidrome does not answer.
	FirstSync = "firstsync"
	// Services calls the host services cache, artwork and subsonicapi as the name
	// in the request says; see its source.
	Services = "services"
	// Scrobbler hands plays to a service, and knows nothing of a queue; see package testenv/playlog.
	Scrobbler = "scrobbler"
	// Stateful schedules, holds WebSockets and has an OnInit, and tells all of it to
	// a journal; see package testenv/journal.
	Stateful = "stateful"
)

// Path compiles one of the guests below src and returns the file. The work is
// shared between tests, packages and runs.
func Path(t testing.TB, name string) string {
	t.Helper()
	return Compile(t, filepath.Join(Root(), "testenv", "guests", "src", name))
}

// Wasm is Path's file, read.
func Wasm(t testing.TB, name string) []byte {
	t.Helper()
	wasm, err := os.ReadFile(Path(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

// compiled are the files that this process has compiled, by folder: sources do not change while
// tests run. The go command takes a while to find that out, even if it has nothing to do.
var compiled sync.Map // of func() (string, error)

// Compile compiles the Go plugin in dir and returns the file.
func Compile(t testing.TB, dir string) string {
	t.Helper()
	once, _ := compiled.LoadOrStore(dir, sync.OnceValues(func() (string, error) { return compile(dir) }))
	file, err := once.(func() (string, error))()
	if err != nil {
		t.Fatal(err)
	}
	Precompile(t, CacheDir(t, "compiled"), file)
	return file
}

// compile compiles the Go plugin in dir for all processes.
func compile(dir string) (file string, err error) {
	cache, err := cacheDir("guests")
	if err != nil {
		return "", err
	}
	file = filepath.Join(cache, filepath.Base(dir)+".wasm")
	lock := flock.New(file + ".lock")
	if err := lock.Lock(); err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	// The go command does nothing where the file is current. It is replaced as
	// a whole, because another package's test may be reading it.
	fresh := file + ".new"
	cmd := exec.Command("go", "build", "-buildmode=c-shared", "-trimpath", "-buildvcs=false", "-ldflags=-w", "-o", fresh, ".") // as plugin build
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build %s: %w\n%s", dir, err, out)
	}
	content, err := os.ReadFile(fresh)
	if err != nil {
		return "", err
	}
	temp := file + ".tmp"
	if err := os.WriteFile(temp, content, 0o600); err != nil {
		return "", err
	}
	return file, os.Rename(temp, file)
}

// CacheDir returns a folder that outlives the test, for what is dear to make
// and safe to share.
func CacheDir(t testing.TB, name string) string {
	t.Helper()
	dir, err := cacheDir(name)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func cacheDir(name string) (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		base = os.TempDir()
	}
	dir := filepath.Join(base, "pluginhost-test", name)
	return dir, os.MkdirAll(dir, 0o700)
}

// Root is the folder of the repository.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(filepath.Dir(file)))
}
