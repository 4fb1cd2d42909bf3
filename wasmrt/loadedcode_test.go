package wasmrt_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
	"github.com/pluginhost/pluginhost/wasmrt"
)

// several are modules of which none is another.
func several() [][]byte {
	return [][]byte{
		guests.Handmade{}.Bytes(), guests.Handmade{Body: guests.Echo}.Bytes(), guests.Handmade{Body: guests.Trap}.Bytes(),
	}
}

// session loads modules with one Runtime, as a replica does at its start, and returns how many
// of them were compiled for that. Before it closes everything it calls while.
func (a *apart) session(t *testing.T, modules [][]byte, while func(loaded []*wasmrt.Module, r *wasmrt.Runtime)) int {
	t.Helper()
	before := a.compiled.Load()
	r, err := wasmrt.New(a.config)
	if err != nil {
		t.Fatal(err)
	}
	var loaded []*wasmrt.Module
	for _, wasm := range modules {
		m, err := r.Load(t.Context(), wasm, wasmrt.Options{ABI: abi("MetadataAgent")})
		if err != nil {
			t.Fatal(err)
		}
		loaded = append(loaded, m)
	}
	r.TrimCache()
	compiled := int(a.compiled.Load() - before)
	if while != nil {
		while(loaded, r)
	}
	for _, m := range loaded {
		if err := m.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}
	if err := r.Close(context.Background()); err != nil {
		t.Error(err)
	}
	return compiled
}

func TestCodeOfLoadedModulesStaysWhateverTheBoundOfTheCache(t *testing.T) {
	a, modules := newApart(t), several()
	var log testenv.Log
	a.config.CacheSize, a.config.KeepUntilTrimmed = 1, true
	a.config.Logger = slog.New(slog.NewJSONHandler(&log, nil))
	if compiled := a.session(t, modules, nil); compiled != len(modules) {
		t.Errorf("the first start compiled %d, want %d", compiled, len(modules))
	}
	var size int64
	for _, file := range machineCode(t, a.config.CacheDir) {
		size += stat(t, file).Size()
	}
	var warning struct {
		Msg     string
		Plugins int
		Bytes   int64
		Bound   int64 `json:"[Plugins] CacheSize"`
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &warning); err != nil {
		t.Fatalf("%v: %s", err, log.String())
	}
	if !strings.Contains(warning.Msg, "exceeds [Plugins] CacheSize") || warning.Plugins != len(modules) || warning.Bytes != size || warning.Bound != 1 {
		t.Errorf("the warning is %+v, want the %d modules with their %d bytes", warning, len(modules), size)
	}
	if compiled := a.session(t, modules, nil); compiled != 0 {
		t.Errorf("the next start compiled %d, want none", compiled)
	}
}

func TestCodeOfModulesThatAreLoadedNoMoreGoes(t *testing.T) {
	a, modules := newApart(t), several()
	a.config.CacheSize, a.config.KeepUntilTrimmed = 1, true
	a.session(t, modules[:2], func(loaded []*wasmrt.Module, r *wasmrt.Runtime) {
		if err := loaded[0].Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.TrimCache()
		if files := machineCode(t, a.config.CacheDir); len(files) != 1 {
			t.Errorf("there is the machine code %v, want that of the module that is loaded", files)
		}
	})
	if compiled := a.session(t, modules[1:2], nil); compiled != 0 {
		t.Errorf("the module that was loaded was compiled %d times, want none", compiled)
	}
}

// The first module that is loaded is new, so that something is compiled while nothing is
// known yet of those that follow.
func TestNothingGoesBeforeItIsKnownWhatAStartNeeds(t *testing.T) {
	a, modules := newApart(t), several()
	a.config.KeepUntilTrimmed = true
	a.session(t, modules[1:], nil)
	for _, file := range machineCode(t, a.config.CacheDir) {
		old := time.Now().Add(-time.Hour)
		if err := os.Chtimes(file, old, old); err != nil {
			t.Fatal(err)
		}
	}
	a.config.CacheSize = 1
	if compiled := a.session(t, modules, nil); compiled != 1 {
		t.Errorf("the start compiled %d, want one: the new module", compiled)
	}
}

func TestADiskThatIsAlmostFullTakesLoadedCodeLast(t *testing.T) {
	a, modules := newApart(t), several()
	a.config.KeepUntilTrimmed = true
	a.session(t, modules[:1], nil)
	first := machineCode(t, a.config.CacheDir)
	a.session(t, modules[:2], func(loaded []*wasmrt.Module, r *wasmrt.Runtime) {
		if err := loaded[1].Close(t.Context()); err != nil { // the newest
			t.Fatal(err)
		}
		for _, want := range [][]string{first, nil} {
			if _, err := r.MakeRoom(1); err != nil {
				t.Fatal(err)
			}
			if left := machineCode(t, a.config.CacheDir); !slices.Equal(left, want) {
				t.Errorf("there is the machine code %v, want %v", left, want)
			}
		}
	})
}
