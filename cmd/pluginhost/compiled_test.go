package main

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/pluginhost/pluginhost/testenv"
)

// compiledFiles are the files of machine code in a data folder.
func compiledFiles(t *testing.T, data string) map[string]os.FileInfo {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(data, "compiled", "wazero-*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string]os.FileInfo)
	for _, path := range paths {
		if files[path], err = os.Stat(path); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func TestAStartCompilesNothingAgainWhateverTheSizeOfTheCache(t *testing.T) {
	t.Parallel()
	folder, data, url := probeFolder(t), t.TempDir(), testenv.NATS(t)
	file := filepath.Join(t.TempDir(), "pluginhost.toml")
	if err := os.WriteFile(file, []byte("[Plugins]\nCacheSize = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var before map[string]os.FileInfo
	for range 2 {
		p := testenv.StartProcess(t, "--config", file, "--nats", url, "--plugins", folder, "--data", data, "--http", "")
		if !p.Logged(`"level":"WARN"`, "exceeds [Plugins] CacheSize", `"plugins":2`, `"[Plugins] CacheSize":1`) {
			t.Errorf("nothing is said about what does not fit\n%s", p.Log())
		}
		files := compiledFiles(t, data)
		if len(files) != 2 {
			t.Errorf("there is the code %v, want that of two plugins", files)
		}
		for path, info := range before {
			if now := files[path]; now == nil || !os.SameFile(info, now) {
				t.Errorf("%s was made anew", path)
			}
		}
		before = files
		p.Signal(syscall.SIGTERM)
		if code := p.Wait(); code != 0 {
			t.Errorf("it ends with %d\n%s", code, p.Log())
		}
	}
}
