package wasmrt_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"

	"github.com/pluginhost/pluginhost/testenv/guests"
	"github.com/pluginhost/pluginhost/wasmrt"
)

// The race detector is what sees it fail: wazero shares a module that comes from
// the disk cache before it is complete.
func TestSameModuleIsLoadedManyTimesAtOnce(t *testing.T) {
	config := wasmrt.Config{CacheDir: t.TempDir(), CompileWorkers: 8, Logger: slog.New(slog.DiscardHandler)}
	wasm := guests.Handmade{}.Bytes()
	for range 20 { // each time with the disk cache alone, but for the first
		r, err := wasmrt.New(config)
		if err != nil {
			t.Fatal(err)
		}
		var loads sync.WaitGroup
		for range 8 {
			loads.Go(func() {
				m, err := r.Load(t.Context(), wasm, wasmrt.Options{ABI: abi("MetadataAgent")})
				if err != nil {
					t.Error(err)
					return
				}
				if err := m.Close(context.Background()); err != nil {
					t.Error(err)
				}
			})
		}
		loads.Wait()
		if err := r.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
}
