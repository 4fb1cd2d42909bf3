package extismhost_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"go.uber.org/goleak"

	"github.com/pluginhost/pluginhost/bridges/assemblyscript"
	"github.com/pluginhost/pluginhost/bridges/extismhost"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// guests are what the tests call.
type guests struct {
	wasm  map[string][]byte
	cache wazero.CompilationCache
}

// compileGuests compiles those of testdata. The test is skipped where AssemblyScript cannot be compiled.
func compileGuests(t *testing.T) *guests {
	t.Helper()
	if err := assemblyscript.Missing(); err != nil {
		if os.Getenv("REQUIRE_NODE") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	project, err := assemblyscript.Install(t.Context(), filepath.Join("..", "bridge-060"), filepath.Join("testdata", "assembly"), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	replaced := []string{"--optimize", "--runtime", "stub", "--use", "abort=assembly/env/abort"}
	modules, err := project.Compile(t.Context(), map[string][]string{
		"kernel": replaced, "services": replaced, "start": replaced, "startkernel": replaced, "nothing": {},
		"haskell": append(replaced, "--exportStart", "begin"), "constructors": append(replaced, "--exportStart", "begin"),
		"initialize": append(replaced, "--exportStart", "_initialize"),
		"duplicates": {}, // not optimised, as that would make one import of both
	})
	if err != nil {
		t.Fatal(err)
	}
	modules["golang"] = compileGo(t)
	g := &guests{wasm: modules, cache: wazero.NewCompilationCache()}
	t.Cleanup(func() {
		if err := g.cache.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return g
}

func compileGo(t *testing.T) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "golang.wasm")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-buildmode=c-shared", "-o", out, "./golang")
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=", "GOWORK=off")
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, output)
	}
	wasm, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

// manifest is one with the permission http.
func manifest(hosts ...string) []byte {
	content, err := json.Marshal(map[string]any{
		"name": "Test", "author": "Test", "version": "1", "permissions": map[string]any{"http": map[string]any{"requiredHosts": hosts}},
	})
	if err != nil {
		panic(err)
	}
	return content
}

// load loads a guest that may send to this machine.
func (g *guests) load(t *testing.T, name string, options extismhost.Options) *extismhost.Plugin {
	t.Helper()
	return g.loadWith(t, name, manifest("127.0.0.1"), options)
}

func (g *guests) loadWith(t *testing.T, name string, manifest []byte, options extismhost.Options) *extismhost.Plugin {
	t.Helper()
	options.Cache = g.cache
	plugin, err := extismhost.Load(t.Context(), extismhost.Package{Manifest: manifest, Wasm: g.wasm[name]}, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := plugin.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return plugin
}

// call is a call and what has to come of it: an output, or an error whose text contains failure.
type call struct {
	export, input   string
	output, failure string
}

func (c call) check(t *testing.T, plugin *extismhost.Plugin) {
	t.Helper()
	output, err := plugin.OutputOf(t.Context(), c.export, []byte(c.input))
	switch {
	case c.failure != "" && err == nil:
		t.Errorf("%s(%s): no failure, want %q", c.export, c.input, c.failure)
	case c.failure != "" && !strings.Contains(err.Error(), c.failure):
		t.Errorf("%s(%s): failed with %q, want %q", c.export, c.input, err, c.failure)
	case c.failure == "" && err != nil:
		t.Errorf("%s(%s): %v", c.export, c.input, err)
	case string(output) != c.output:
		t.Errorf("%s(%s): %.200q, want %q", c.export, c.input, output, c.output)
	}
}

// short is a time after which a call that does not end is ended.
const short = 300 * time.Millisecond
