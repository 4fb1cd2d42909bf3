package author

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pluginhost/pluginhost/internal/inspect"
	"github.com/pluginhost/pluginhost/internal/regular"
	"github.com/pluginhost/pluginhost/plugin"
)

// ErrCompiler says that the Go command could not build a plugin; what it said went to the
// output.
var ErrCompiler = errors.New("the plugin does not compile")

// interruptDelay is how long the Go command may take to end.
const interruptDelay = 5 * time.Second

// Built is a plugin whose plugin.wasm is ready.
type Built struct {
	Manifest *plugin.Manifest
	// Warnings are those of the manifest and of the module.
	Warnings []string
	// Wasm is the size of plugin.wasm, in bytes.
	Wasm int
}

// Build compiles the plugin in a folder into its plugin.wasm and checks that against its
// manifest. A folder without Go files has its plugin.wasm from other tools, and is only
// checked. output gets what the compiler says, and check checks the module. A plugin that would not load leaves the
// plugin.wasm before in place.
func Build(ctx context.Context, dir string, output io.Writer, check inspect.Check) (*Built, error) {
	// The compiler runs in the folder: a relative path would lead elsewhere.
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	target := ""
	if compiled, err := IsCompiled(dir); err != nil {
		return nil, err
	} else if compiled {
		file, err := createDraft(dir, wasmDraft)
		if err != nil {
			return nil, err
		}
		target = file.Name()
		defer func() { _ = os.Remove(target) }() // where it was not renamed
		if err := file.Close(); err != nil {
			return nil, err
		}
	}
	compiled, err := Compile(ctx, dir, target, output, check)
	if err != nil {
		return nil, err
	}
	if target != "" {
		if err := os.Rename(target, filepath.Join(dir, plugin.WasmName)); err != nil {
			return nil, err
		}
	}
	return &Built{Manifest: compiled.Manifest, Warnings: compiled.Warnings, Wasm: len(compiled.Wasm)}, nil
}

// Compiled is a plugin that would load.
type Compiled struct {
	Manifest *plugin.Manifest
	// Warnings are those of the manifest and of the module.
	Warnings []string
	// Wasm is the module.
	Wasm []byte
}

// Compile compiles the plugin in a folder into the file target and checks it against its
// manifest; nothing is written to the folder. The target is an absolute path; one that is
// current already costs no work. A folder without Go files has its plugin.wasm from other
// tools, and needs no target. output gets what the compiler says, and check checks the module. The error is a
// *plugin.ManifestError, ErrCompiler, or says what would keep the plugin from loading.
func Compile(ctx context.Context, dir, target string, output io.Writer, check inspect.Check) (*Compiled, error) {
	manifest, problems, err := plugin.ReadManifest(dir)
	if err != nil {
		return nil, err
	}
	isCompiled, err := IsCompiled(dir)
	if err != nil {
		return nil, err
	}
	if !isCompiled {
		target = filepath.Join(dir, plugin.WasmName)
	} else if err := runCompiler(ctx, dir, target, output); err != nil {
		return nil, err
	}
	wasm, err := regular.Read(target, plugin.MaxWasmSize+1)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s has neither Go files nor a plugin.wasm: build that with your own tools first", dir)
	}
	if err != nil {
		return nil, err
	}
	if len(wasm) > plugin.MaxWasmSize {
		return nil, fmt.Errorf("the plugin would not load: its module has more than %d bytes", plugin.MaxWasmSize)
	}
	report := inspect.Plugin(ctx, manifest, wasm, check)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if len(report.Faults) > 0 {
		return nil, fmt.Errorf("the plugin would not load: %s", strings.Join(report.Faults, "; "))
	}
	compiled := &Compiled{Manifest: manifest, Wasm: wasm}
	for _, problem := range problems {
		compiled.Warnings = append(compiled.Warnings, problem.String())
	}
	compiled.Warnings = append(compiled.Warnings, report.Warnings...)
	return compiled, nil
}

// IsCompiled tells whether the plugin in a folder is built by Build: whether it has Go
// files.
func IsCompiled(dir string) (bool, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: name the folder of a plugin, or make one with pluginhost plugin new", err)
	}
	return slices.ContainsFunc(entries, func(e os.DirEntry) bool { return filepath.Ext(e.Name()) == ".go" }), err
}

// runCompiler builds the Go package in a folder. The same source gives the same bytes
// wherever it lies.
func runCompiler(ctx context.Context, dir, target string, output io.Writer) error {
	// Without debug information, which the host drops, and without what names this folder
	// or its version control.
	build := exec.CommandContext(ctx, "go", "build", "-buildmode=c-shared", "-trimpath", "-buildvcs=false", "-ldflags=-w", "-o", target, ".")
	build.Dir = dir
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if standsAlone(dir) {
		build.Env = append(build.Env, "GOWORK=off")
	}
	var said bytes.Buffer
	both := io.MultiWriter(output, &said) // one writer, so that nobody writes beside another
	build.Stdout, build.Stderr = both, both
	build.Cancel = func() error { return build.Process.Signal(os.Interrupt) }
	build.WaitDelay = interruptDelay
	err := build.Run()
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, exec.ErrNotFound):
		return fmt.Errorf("plugins in Go are built with the go command, which is not there: install it from https://go.dev/dl: %w", err)
	case bytes.Contains(said.Bytes(), []byte("go.work")), bytes.Contains(said.Bytes(), []byte("workspace modules")):
		return fmt.Errorf("%w: %s is not in the workspace of your go.work: run go work use %s, or set GOWORK=off", ErrCompiler, dir, dir)
	case bytes.Contains(said.Bytes(), []byte("go mod tidy")), bytes.Contains(said.Bytes(), []byte("go get ")):
		return fmt.Errorf("%w: run go mod tidy in %s", ErrCompiler, dir)
	default:
		return ErrCompiler
	}
}
