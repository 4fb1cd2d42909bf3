package plugintest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gofrs/flock"

	"github.com/pluginhost/pluginhost/internal/author"
	"github.com/pluginhost/pluginhost/wasmrt"
)

const (
	// places is how many modules are kept. Plugins whose folders share a place compile in
	// turn, which costs time and nothing else.
	places = 32
	// maxCode is how many bytes of machine code are kept; the oldest go first.
	maxCode = 1 << 30
	// lockPause is between two looks whether a place is free.
	lockPause = 20 * time.Millisecond
	// maxCompilerOutput is how many bytes of what the compiler says are shown.
	maxCompilerOutput = 16 << 10
)

// cacheFolder keeps what was compiled, for all tests of the user.
type cacheFolder struct {
	modules string // what the Go command makes
	code    string // what the runtime makes of it
}

// openCache finds the cache folder. Without one that can be written, everything is
// compiled for each Host.
func openCache(t testing.TB) cacheFolder {
	t.Helper()
	base, err := os.UserCacheDir()
	if err == nil {
		base = filepath.Join(base, "pluginhost", "plugintest")
		err = os.MkdirAll(filepath.Join(base, "modules"), 0o700)
	}
	if err != nil {
		base = t.TempDir()
		if err := os.Mkdir(filepath.Join(base, "modules"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return cacheFolder{modules: filepath.Join(base, "modules"), code: filepath.Join(base, "code")}
}

// compile compiles the plugin in a folder. The Go command leaves the file alone that is
// current.
func (c cacheFolder) compile(ctx context.Context, dir string) (*author.Compiled, error) {
	target := c.target(dir)
	lock := flock.New(target + ".lock")
	if _, err := lock.TryLockContext(ctx, lockPause); err != nil {
		return nil, fmt.Errorf("wait for %s: %w", target, err)
	}
	defer func() { _ = lock.Unlock() }()
	var output bytes.Buffer
	compiled, err := author.Compile(ctx, dir, target, &output, unchecked)
	if err == nil {
		return compiled, nil
	}
	err = errors.Join(err, c.forget(dir))
	if said := bytes.TrimSpace(output.Bytes()); len(said) > 0 {
		err = fmt.Errorf("%w\n%s", err, said[:min(len(said), maxCompilerOutput)])
	}
	return nil, err
}

// target is the file that the plugin in a folder is compiled into.
func (c cacheFolder) target(dir string) string {
	place := sha256.Sum256([]byte(dir))[0] % places
	return filepath.Join(c.modules, fmt.Sprintf("%02d.wasm", place))
}

// forget removes the module of a folder, which may be damaged.
func (c cacheFolder) forget(dir string) error {
	if err := os.Remove(c.target(dir)); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// unchecked leaves it to the runtime to validate a module: it is loaded next.
func unchecked(context.Context, []byte, wasmrt.ABI, []string) error { return nil }
