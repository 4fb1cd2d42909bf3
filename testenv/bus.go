package testenv

import (
	"log/slog"
	"testing"

	"github.com/pluginhost/pluginhost/bus"
)

// Bus returns the connections of a replica to a server, which are closed when the test ends. Their
// log goes nowhere.
func Bus(t testing.TB, url string) *bus.Bus {
	t.Helper()
	b, err := bus.Open(t.Context(), bus.Config{URL: url, Name: "r1", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}
