package wasmrt_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/internal/compiler"
	"github.com/pluginhost/pluginhost/testenv/guests"
	"github.com/pluginhost/pluginhost/wasmrt"
)

// apart has modules compiled in processes of their own, and counts how often.
type apart struct {
	config   wasmrt.Config
	process  compiler.Process
	compiled atomic.Int64
}

// newApart has a cache folder of its own.
func newApart(t *testing.T) *apart {
	t.Helper()
	a := &apart{}
	t.Cleanup(a.process.Close)
	a.config = wasmrt.Config{
		CacheDir: t.TempDir(), Logger: slog.New(slog.DiscardHandler),
		Compiler:       a,
		CompileTimeout: 10 * time.Minute, // the race detector makes compilers slow
	}
	return a
}

// Compile implements wasmrt.Compiler.
func (a *apart) Compile(ctx context.Context, job wasmrt.Job) error {
	a.compiled.Add(1)
	return a.process.Compile(ctx, job)
}

// load loads a module with a Runtime of its own and closes everything again, and returns how often
// that took a compiler.
func (a *apart) load(t *testing.T, wasm []byte, again bool) (int, error) {
	t.Helper()
	before := a.compiled.Load()
	r, err := wasmrt.New(a.config)
	if err != nil {
		t.Fatal(err)
	}
	m, err := r.Load(t.Context(), wasm, wasmrt.Options{ABI: abi("MetadataAgent"), Again: again})
	if err == nil {
		if err := m.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}
	if err := r.Close(context.Background()); err != nil {
		t.Error(err)
	}
	return int(a.compiled.Load() - before), err
}

// machineCode are the files of a cache folder that hold some.
func machineCode(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "wazero-*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestModuleIsCompiledByOneProcessAndReadWithoutAny(t *testing.T) {
	a, wasm := newApart(t), guests.Handmade{}.Bytes()
	for i, want := range []int{1, 0, 0} {
		if times, err := a.load(t, wasm, false); err != nil || times != want {
			t.Errorf("load %d compiled it %d times (%v), want %d", i, times, err, want)
		}
	}
	left, err := os.ReadDir(a.config.CacheDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range left {
		if strings.HasPrefix(entry.Name(), "translating-") {
			t.Errorf("%s was left", entry.Name())
		}
	}
}

func TestMachineCodeThatIsGoneOrDamagedIsMadeByAProcess(t *testing.T) {
	for name, damage := range map[string]func(path string) error{
		"gone":      os.Remove,
		"empty":     func(path string) error { return os.Truncate(path, 0) },
		"cut short": func(path string) error { return os.Truncate(path, 100) },
		"garbage":   func(path string) error { return os.WriteFile(path, []byte(strings.Repeat("garbage ", 100)), 0o600) },
		"one bit": func(path string) error {
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			content[len(content)/2] ^= 1
			return os.WriteFile(path, content, 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, wasm, other := newApart(t), guests.Handmade{}.Bytes(), guests.Handmade{Body: guests.Echo}.Bytes()
			for _, module := range [][]byte{wasm, other} {
				if _, err := a.load(t, module, false); err != nil {
					t.Fatal(err)
				}
			}
			// The older of the two.
			files := machineCode(t, a.config.CacheDir)
			if len(files) != 2 {
				t.Fatalf("there is the machine code %v, want that of two modules", files)
			}
			if before, after := stat(t, files[0]), stat(t, files[1]); before.ModTime().After(after.ModTime()) {
				files[0], files[1] = files[1], files[0]
			}
			if err := damage(files[0]); err != nil {
				t.Fatal(err)
			}
			if times, err := a.load(t, wasm, false); err != nil || times != 1 {
				t.Errorf("it was compiled %d times (%v), want one", times, err)
			}
			if times, err := a.load(t, other, false); err != nil || times != 0 {
				t.Errorf("the other module was compiled %d times (%v), want none", times, err)
			}
		})
	}
}

func stat(t *testing.T, path string) os.FileInfo {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// emptied is a Compiler whose code is gone before it can be read.
type emptied struct {
	wasmrt.Compiler
	dir   string
	times int
}

func (e *emptied) Compile(ctx context.Context, job wasmrt.Job) error {
	e.times++
	err := e.Compiler.Compile(ctx, job)
	files, _ := filepath.Glob(filepath.Join(job.Dir, "*", "*"))
	for _, file := range files {
		// As a file of another processor's code would be: nobody finds it.
		if failed := os.Rename(file, file+".other"); failed != nil {
			err = errors.Join(err, failed)
		}
	}
	return err
}

func TestProcessThatServesNeverCompiles(t *testing.T) {
	a := newApart(t)
	e := &emptied{Compiler: a, dir: a.config.CacheDir}
	a.config.Compiler = e
	_, err := a.load(t, guests.Handmade{}.Bytes(), false)
	var fault *wasmrt.LoadError
	if !errors.As(err, &fault) || !strings.Contains(err.Error(), "there is no machine code for the module") {
		t.Errorf("the error is %v, want that there is no machine code", err)
	}
	if e.times != 3 {
		t.Errorf("it was compiled %d times, want 3", e.times)
	}
}

func TestCacheThatIsTooSmallForOneModuleStillLoadsIt(t *testing.T) {
	a := newApart(t)
	a.config.CacheSize = 1
	if times, err := a.load(t, guests.Handmade{}.Bytes(), false); err != nil || times != 1 {
		t.Errorf("it was compiled %d times (%v), want one", times, err)
	}
}

func TestModulesThatAreUsedStayInTheCacheLongest(t *testing.T) {
	a, used, unused := newApart(t), guests.Handmade{}.Bytes(), guests.Handmade{Body: guests.Trap}.Bytes()
	var size int64
	for i, wasm := range [][]byte{used, unused} { // the one that is used is the older
		if _, err := a.load(t, wasm, false); err != nil {
			t.Fatal(err)
		}
		for _, file := range machineCode(t, a.config.CacheDir) {
			size = stat(t, file).Size()
			if old := time.Now().Add(time.Duration(i-3) * time.Hour); i == 0 || time.Since(stat(t, file).ModTime()) < time.Hour {
				if err := os.Chtimes(file, old, old); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if times, err := a.load(t, used, false); err != nil || times != 0 {
		t.Fatalf("it was compiled %d times (%v), want none", times, err)
	}
	a.config.CacheSize = 2*size + size/2 // of two
	if _, err := a.load(t, guests.Handmade{Body: guests.Echo}.Bytes(), false); err != nil {
		t.Fatal(err)
	}
	if times, err := a.load(t, used, false); err != nil || times != 0 {
		t.Errorf("the module that was used was compiled %d times (%v), want none", times, err)
	}
	if times, err := a.load(t, unused, false); err != nil || times != 1 {
		t.Errorf("the module that was not used was compiled %d times (%v), want one", times, err)
	}
}

func TestBombIsRememberedUntilItOrTheLimitsChange(t *testing.T) {
	a, bomb := newApart(t), guests.Bomb(0)
	a.config.CompileTimeout, a.config.CompileMemory = time.Second, 256<<20
	times, err := a.load(t, bomb, false)
	var fault *wasmrt.LoadError
	if !errors.As(err, &fault) || times != 1 || errors.Is(err, wasmrt.ErrFailedBefore) || !strings.Contains(err.Error(), "[Runtime] Compile") {
		t.Fatalf("it was compiled %d times and ends with %v, want one and the setting to raise", times, err)
	}
	first := err.Error()
	times, err = a.load(t, bomb, false)
	if !errors.Is(err, wasmrt.ErrFailedBefore) || times != 0 || !strings.Contains(err.Error(), strings.SplitN(first, ":", 2)[0]) {
		t.Errorf("after a restart it was compiled %d times and ends with %v, want none and what it failed with: %s", times, err, first)
	}
	if times, err = a.load(t, bomb, true); times != 1 || err == nil || errors.Is(err, wasmrt.ErrFailedBefore) {
		t.Errorf("asked again it was compiled %d times (%v), want one", times, err)
	}
	if times, err = a.load(t, guests.Bomb(0+guests.Shapes), false); times != 1 || err == nil {
		t.Errorf("another bomb was compiled %d times (%v), want one", times, err)
	}
	a.config.CompileTimeout += time.Millisecond
	if times, err = a.load(t, bomb, false); times != 1 || err == nil {
		t.Errorf("with another limit it was compiled %d times (%v), want one", times, err)
	}
}

func TestCheckCompilesWithinTheSameBounds(t *testing.T) {
	a := newApart(t)
	r, err := wasmrt.New(a.config)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close(context.Background()) }()
	if err := r.Check(t.Context(), guests.Handmade{Imports: []string{"http_get"}, Body: guests.CallImport}.Bytes(), abi("MetadataAgent"), []string{"http_get"}); err != nil {
		t.Error(err)
	}
	err = r.Check(t.Context(), guests.Handmade{Omit: "metadata_agent_get_artist_url"}.Bytes(), abi("MetadataAgent"), nil)
	if err == nil || !strings.Contains(err.Error(), "metadata_agent_get_artist_url is not exported") {
		t.Errorf("the error is %v, want the export that is missing", err)
	}
}
