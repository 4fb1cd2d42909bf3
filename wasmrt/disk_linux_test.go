package wasmrt_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"syscall"
	"testing"

	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
	"github.com/pluginhost/pluginhost/wasmrt"
)

func TestFullDiskIsNotTakenForADamagedCache(t *testing.T) {
	for name, apart := range map[string]bool{"compiled in this process": false, "compiled in a process of its own": true} {
		t.Run(name, func(t *testing.T) {
			disk := testenv.NewSmallDisk(t, 1<<20)
			disk.Fill()
			var log testenv.Log
			a := newApart(t)
			a.config.CacheDir, a.config.Logger = disk.Folder, slog.New(slog.NewTextHandler(&log, nil))
			if !apart {
				a.config.Compiler = nil
			}
			r, err := wasmrt.New(a.config)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = r.Close(context.Background()) }()
			_, err = r.Load(t.Context(), guests.Handmade{}.Bytes(), wasmrt.Options{ABI: abi("MetadataAgent")})
			var fault *wasmrt.LoadError
			if !errors.As(err, &fault) || !strings.Contains(err.Error(), syscall.ENOSPC.Error()) || !strings.Contains(err.Error(), "space") {
				t.Errorf("the error is %v, want the disk", err)
			}
			if strings.Contains(log.String(), "damaged") {
				t.Errorf("the log says\n%s", log.String())
			}
		})
	}
}
