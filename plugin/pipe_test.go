//go:build unix

package plugin

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A named pipe nobody writes to would block whoever opens it for ever.
func TestNamedPipesAreNotOpened(t *testing.T) {
	for _, name := range []string{"plugin.wasm", "manifest.json"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			pipe := filepath.Join(writePlugin(t, dir, "covers", manifestText(nil)), name)
			if err := os.Remove(pipe); err != nil {
				t.Fatal(err)
			}
			if err := syscall.Mkfifo(pipe, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := scanOne(t, dir).ReadWasm()
			if err == nil || !strings.Contains(err.Error(), pipe+" is not a regular file") {
				t.Errorf("error %v, want that the pipe is not a regular file", err)
			}
		})
	}
}
