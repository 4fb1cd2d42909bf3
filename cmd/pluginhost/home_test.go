package main

import (
	"os"
	"strings"
	"testing"

	"github.com/pluginhost/pluginhost/testenv/guests"
)

// The plugins folder would be below the home folder, and must not be the working directory
// where there is none.
func TestCommandsWithoutAHomeSayThatThereIsNoPluginsFolder(t *testing.T) {
	ndp := echoPackage(t, "1.0.0", nil, 0)
	t.Setenv("HOME", "")
	t.Setenv("XDG_DATA_HOME", "")
	for name, args := range map[string][]string{
		"list":    {"list"},
		"info":    {"info", "echo"},
		"install": {"install", ndp},
		"update":  {"update", ndp},
		"remove":  {"remove", "echo"},
		"dev":     {"dev", guests.Root() + "/examples/minimal"},
	} {
		t.Run(name, func(t *testing.T) {
			work := t.TempDir()
			t.Chdir(work)
			got := pluginhost(t.Context(), "", append([]string{"plugin", "--nats", nowhere}, args...)...)
			if got.code == exitDone || !strings.Contains(got.err, "there is no plugins folder: neither XDG_DATA_HOME nor HOME is set") {
				t.Errorf("got %+v", got)
			}
			if left, err := os.ReadDir(work); err != nil || len(left) > 0 {
				t.Errorf("%v was made: %v", left, err)
			}
		})
	}
}
