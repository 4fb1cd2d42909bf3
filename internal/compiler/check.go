package compiler

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/pluginhost/pluginhost/wasmrt"
)

// maxCode is how many bytes of machine code the checks of a user keep.
const maxCode = 256 << 20

// Check finds out whether a module could be loaded, as far as that shows without running it,
// and compiles it for that as a host does.
type Check struct {
	// Process is what compiles.
	Process *Process
	// Timeout and Memory are those of wasmrt.Config.
	Timeout time.Duration
	Memory  int64
}

// Module says why a host would refuse a module; see wasmrt.Check. The machine code is kept
// below the user's cache folder, for the next check of the same module.
func (c Check) Module(ctx context.Context, wasm []byte, abi wasmrt.ABI, functions []string) (err error) {
	dir, drop, err := checkFolder()
	if err != nil {
		return err
	}
	defer drop()
	runtime, err := wasmrt.New(wasmrt.Config{
		CacheDir: dir, CacheSize: maxCode, Compiler: c.Process, CompileTimeout: c.Timeout, CompileMemory: c.Memory,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, runtime.Close(context.WithoutCancel(ctx))) }()
	return runtime.Check(ctx, wasm, abi, functions)
}

// checkFolder is the cache folder of checks, or one that drop removes where the user has none.
func checkFolder() (dir string, drop func(), err error) {
	base, err := os.UserCacheDir()
	if err == nil {
		dir = filepath.Join(base, "pluginhost", "checked")
		if err = os.MkdirAll(dir, 0o700); err == nil {
			return dir, func() {}, nil
		}
	}
	if dir, err = os.MkdirTemp("", "pluginhost-"); err != nil {
		return "", nil, err
	}
	return dir, func() { _ = os.RemoveAll(dir) }, nil
}
