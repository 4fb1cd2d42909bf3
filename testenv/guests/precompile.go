package guests

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/gofrs/flock"
)

// What TestTranslate is told by Precompile: the runtime's cache folder and a module.
const (
	TranslateInto = "PLUGINHOST_TRANSLATE_INTO"
	TranslateFile = "PLUGINHOST_TRANSLATE_FILE"
)

// Precompile has the machine code of a module in a runtime's cache folder before it is
// loaded. With the race detector a test would take many times as long for that.
func Precompile(t testing.TB, dir, file string) {
	t.Helper()
	if !hasRaceDetector {
		return
	}
	once, _ := precompiled.LoadOrStore([2]string{dir, file}, sync.OnceValue(func() error { return precompile(dir, file) }))
	if err := once.(func() error)(); err != nil {
		t.Fatalf("precompile %s: %v", file, err)
	}
}

// precompiled are the folders and modules of which this process has done so.
var precompiled sync.Map // of func() error

func precompile(dir, file string) (err error) {
	wasm, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	versions, err := os.ReadFile(filepath.Join(Root(), "go.sum")) // the compiler's among them
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	lock := flock.New(dir + ".lock")
	if err := lock.Lock(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	done := filepath.Join(dir, fmt.Sprintf("precompiled-%x", sha256.Sum256(append(wasm, versions...))))
	if _, err := os.Stat(done); err == nil {
		return nil
	}
	cmd := exec.Command("go", "test", "-count=1", "-vet=off", "-run", "^TestTranslate$", "./testenv/guests")
	cmd.Dir = Root()
	cmd.Env = append(os.Environ(), TranslateInto+"="+dir, TranslateFile+"="+file)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return os.WriteFile(done, nil, 0o600)
}
