package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Navidrome 0.60 and newer load packages that lie in the folder, so people put them there.
func TestPackagesInThePluginsFolderAreNamedWithWhatToDo(t *testing.T) {
	t.Parallel()
	folder := probeFolder(t)
	stray := filepath.Join(folder, "covers.ndp")
	if err := os.WriteFile(stray, []byte("a package"), 0o600); err != nil {
		t.Fatal(err)
	}
	replica := serveProcess(t, folder, "--listen", "127.0.0.1:0")
	if !replica.Logged(`"WARN"`, "files in the plugins folder are no plugins", "covers.ndp") {
		t.Error("the log does not name it")
	}
	const says = "pluginhost plugin install "
	for name, args := range map[string][]string{
		"plugin list":          {"plugin", "list", "--nats", replica.NATS},
		"plugin list --json":   {"plugin", "list", "--json", "--nats", replica.NATS},
		"status":               {"status", "--nats", replica.NATS},
		"a list of no replica": {"plugin", "list", "--nats", "nats://127.0.0.1:1", "--plugins", folder},
	} {
		if got := pluginhost(t.Context(), "", args...); !strings.Contains(got.out, says+stray) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
