package testenv

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/config"
	"github.com/pluginhost/pluginhost/replica"
	"github.com/pluginhost/pluginhost/testenv/guests"
)

// Config returns the configuration of a replica that works in folders of the
// test, shares compiled code with other tests and does not listen for HTTP.
func Config(t testing.TB, natsURL, plugins string) config.Config {
	t.Helper()
	host := config.Default()
	host.Name = "test"
	host.Data = DataFolder(t)
	host.Plugins.Folder = plugins
	host.Plugins.CacheSize = 4 << 30
	host.NATS.URL = natsURL
	// With the race detector, and beside other tests, compiling takes a while.
	host.Runtime.CompileTimeout = 10 * time.Minute
	host.HTTP.Listen = ""
	return host
}

// DataFolder returns a folder for the data of a replica in which compiled code
// is shared with other tests.
func DataFolder(t testing.TB) string {
	t.Helper()
	data := t.TempDir()
	if err := os.Symlink(guests.CacheDir(t, "compiled"), filepath.Join(data, "compiled")); err != nil {
		t.Fatal(err)
	}
	return data
}

// Start runs a replica in this process until the test ends. Its log goes to
// log, or nowhere if that is nil.
func Start(t testing.TB, host config.Config, log io.Writer, options ...replica.Option) *replica.Replica {
	t.Helper()
	handler := slog.DiscardHandler
	if log != nil {
		handler = slog.NewTextHandler(log, nil)
	}
	r, err := replica.Start(t.Context(), host, slog.New(handler), options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Drain(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return r
}
