package wasmrt_test

import (
	"context"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/testenv/guests"
	"github.com/pluginhost/pluginhost/wasmrt"
)

// cached loads a module with a cache in dir and closes everything again.
func cached(t *testing.T, dir string, size int64, wasm []byte) error {
	t.Helper()
	r, err := wasmrt.New(wasmrt.Config{CacheDir: dir, CacheSize: size, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer func() {
		if err := r.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	m, err := r.Load(t.Context(), wasm, wasmrt.Options{ABI: abi("MetadataAgent")})
	if err != nil {
		return err
	}
	return m.Close(t.Context())
}

// files lists what is in a cache, with sizes.
func files(t *testing.T, dir string) map[string]int64 {
	t.Helper()
	found := map[string]int64{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		found[path] = info.Size()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestCacheKeepsWithinItsSizeByDroppingTheOldest(t *testing.T) {
	dir := t.TempDir()
	first, second := guests.Handmade{}.Bytes(), guests.Handmade{Body: guests.Echo}.Bytes()
	if err := cached(t, dir, 0, first); err != nil {
		t.Fatal(err)
	}
	before := files(t, dir)
	if len(before) != 1 {
		t.Fatalf("the cache holds %v, want one file", before)
	}
	var limit int64
	for path, size := range before {
		limit = size + size/2
		old := time.Now().Add(-time.Hour)
		if err := os.Chtimes(path, old, old); err != nil {
			t.Fatal(err)
		}
	}
	if err := cached(t, dir, limit, second); err != nil {
		t.Fatal(err)
	}
	after := files(t, dir)
	if len(after) != 1 {
		t.Errorf("the cache holds %v, want one file", after)
	}
	for path := range before {
		if _, kept := after[path]; kept {
			t.Error("the older file was kept")
		}
	}
}

func TestDamagedCacheIsMadeAnew(t *testing.T) {
	for name, damage := range map[string]func(content []byte) []byte{
		"cut short": func(content []byte) []byte { return content[:len(content)/2] },
		"empty":     func([]byte) []byte { return nil },
		"garbage":   func([]byte) []byte { return []byte("this is no machine code at all, not even a little bit of it") },
		"one bit":   func(content []byte) []byte { content[len(content)/2] ^= 1; return content },
	} {
		t.Run(name, func(t *testing.T) {
			dir, wasm := t.TempDir(), guests.Handmade{}.Bytes()
			if err := cached(t, dir, 0, wasm); err != nil {
				t.Fatal(err)
			}
			for path := range files(t, dir) {
				content, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, damage(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := cached(t, dir, 0, wasm); err != nil {
				t.Errorf("the module does not load any more: %v", err)
			}
		})
	}
}
