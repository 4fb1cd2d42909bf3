// Package guests makes plugins for tests: compiled from Go with the plugin
// contract of this repository, or written byte by byte.
package guests

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
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

// Compile compiles the Go plugin in dir and returns the file.
func Compile(t testing.TB, dir string) string {
	t.Helper()
	cache := CacheDir(t, "guests")
	file := filepath.Join(cache, filepath.Base(dir)+".wasm")
	lock := flock.New(file + ".lock")
	if err := lock.Lock(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Unlock() }()
	// The go command does nothing where the file is current. It is replaced as
	// a whole, because another package's test may be reading it.
	fresh := file + ".new"
	cmd := exec.Command("go", "build", "-buildmode=c-shared", "-trimpath", "-buildvcs=false", "-ldflags=-w", "-o", fresh, ".") // as plugin build
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v\n%s", dir, err, out)
	}
	content, err := os.ReadFile(fresh)
	if err != nil {
		t.Fatal(err)
	}
	temp := file + ".tmp"
	if err := os.WriteFile(temp, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(temp, file); err != nil {
		t.Fatal(err)
	}
	Precompile(t, CacheDir(t, "compiled"), file)
	return file
}

// CacheDir returns a folder that outlives the test, for what is dear to make
// and safe to share.
func CacheDir(t testing.TB, name string) string {
	t.Helper()
	base, err := os.UserCacheDir()
	if err != nil {
		base = os.TempDir()
	}
	dir := filepath.Join(base, "pluginhost-test", name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Root is the folder of the repository.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(filepath.Dir(file)))
}
