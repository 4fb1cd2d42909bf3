package wasmrt

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestTheOldestCompiledCodeMakesRoomFirst(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	for i, name := range []string{"old", "newer", "newest"} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, make([]byte, 100), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, now, now.Add(time.Duration(i-3)*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	r := &Runtime{config: Config{CacheDir: dir}}
	for _, step := range []struct {
		bytes, freed int64
		left         int
	}{{0, 0, 3}, {50, 100, 2}, {1000, 200, 0}, {1000, 0, 0}} {
		freed, err := r.MakeRoom(step.bytes)
		left, _ := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil || freed != step.freed || len(left) != step.left {
			t.Errorf("for %d bytes it frees %d, and leaves %v: %v", step.bytes, freed, left, err)
		}
	}
}
