package guests_test

import (
	"errors"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/testenv/guests"
	"github.com/pluginhost/pluginhost/wasmrt"
)

// Precompile runs this without the race detector. It is a test, as the compiler's cache is
// not the same for those and for programs.
func TestTranslate(t *testing.T) {
	dir, file := os.Getenv(guests.TranslateInto), os.Getenv(guests.TranslateFile)
	if dir == "" {
		t.Skip("nothing is to be translated")
	}
	wasm, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	runtime, err := wasmrt.New(wasmrt.Config{CacheDir: dir, CompileTimeout: 10 * time.Minute, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	for _, isolation := range []wasmrt.Isolation{wasmrt.IsolationClean, wasmrt.IsolationReuse} { // for which it is not the same code
		module, err := runtime.Load(t.Context(), wasm, wasmrt.Options{Limits: wasmrt.Limits{Isolation: isolation}})
		var fault *wasmrt.LoadError
		switch {
		case err == nil:
			err = module.Close(t.Context())
		case errors.As(err, &fault): // as without its host functions: it is compiled by then
			err = nil
		}
		if err != nil {
			t.Error(err)
		}
	}
	if err := runtime.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
