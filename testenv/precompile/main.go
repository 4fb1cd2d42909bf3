// Command precompile translates modules to the machine code that tests run, into the
// folder named first. Tests have the race detector, under which that takes many times as
// long.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/pluginhost/pluginhost/wasmrt"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: precompile FOLDER FILE.wasm...")
		os.Exit(2)
	}
	if err := translate(context.Background(), os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "precompile:", err)
		os.Exit(1)
	}
}

func translate(ctx context.Context, dir string, files []string) (err error) {
	runtime, err := wasmrt.New(wasmrt.Config{CacheDir: dir, CompileTimeout: 10 * time.Minute, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, runtime.Close(ctx)) }()
	for _, file := range files {
		wasm, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		for _, isolation := range []wasmrt.Isolation{wasmrt.IsolationClean, wasmrt.IsolationReuse} { // for which it is not the same code
			module, err := runtime.Load(ctx, wasm, wasmrt.Options{Limits: wasmrt.Limits{Isolation: isolation}})
			var fault *wasmrt.LoadError
			switch {
			case err == nil:
				err = module.Close(ctx)
			case errors.As(err, &fault): // as without its host functions: it is compiled by then
				err = nil
			}
			if err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
		}
	}
	return nil
}
