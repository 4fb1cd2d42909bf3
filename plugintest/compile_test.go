package plugintest_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pluginhost/pluginhost/plugintest"
	"github.com/pluginhost/pluginhost/testenv/guests"
)

// The go command takes a module for current whose code is damaged.
func TestADamagedModuleIsNotKept(t *testing.T) {
	dir := filepath.Join(guests.Root(), "examples", "minimal")
	wasm, err := os.ReadFile(guests.Compile(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	cache, err := exec.Command("go", "env", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOCACHE", strings.TrimSpace(string(cache)))
	t.Setenv("XDG_CACHE_HOME", t.TempDir()) // this test's alone
	file := plugintest.ModuleFile(t, dir)
	middle := len(wasm) / 2
	copy(wasm[middle:], bytes.Repeat([]byte{0xff}, 1000))
	if err := os.WriteFile(file, wasm, 0o600); err != nil {
		t.Fatal(err)
	}
	err = plugintest.TryLoad(t, dir)
	if err == nil || !strings.Contains(err.Error(), "the plugin would not load: not a valid WebAssembly module") {
		t.Fatalf("the error is %v, want one of the module: the go command has not kept it", err)
	}
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the damaged module is kept: %v", err)
	}
}
