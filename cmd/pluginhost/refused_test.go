package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/pluginhost/pluginhost/testenv"
)

// Each call may take an hour, so that one which waits for an answer does not end.
func TestUserOfTheCommandLineMayDoWhatItsRightsAllow(t *testing.T) {
	as := testenv.DeployedNATS(t)
	folder := t.TempDir()
	addEcho(t, folder)
	replica := testenv.StartProcess(t, "--nats", as("host"), "--plugins", folder, "--data", testenv.DataFolder(t), "--http", "")
	call := []string{"call", "echo", "get_artist_url", `{"id":"hello"}`, "--timeout", "1h"}
	prefix := []string{"--inbox-prefix", "_INBOX_navidrome"}
	for name, test := range map[string]struct {
		user     string
		args     []string
		code     int
		out, err string
	}{
		"navidrome calls":                          {"navidrome", slices.Concat(call, prefix), exitDone, "hello", ""},
		"navidrome calls with the inbox of others": {"navidrome", call, exitFailure, "", "--inbox-prefix"},
		"navidrome tries a callback":               {"navidrome", append([]string{"call", "echo", "on_scheduler_callback", "{}", "--timeout", "1h"}, prefix...), exitFailure, "", "plugins.echo.callback.on_scheduler_callback"},
		"navidrome lists plugins":                  {"navidrome", append([]string{"plugin", "list"}, prefix...), exitDone, "ready 1", ""},
		"navidrome asks about a plugin":            {"navidrome", append([]string{"plugin", "info", "echo"}, prefix...), exitDone, replica.ReplicaID, ""},
		"navidrome asks about replicas":            {"navidrome", append([]string{"status"}, prefix...), exitFailure, "", "pluginhost.ctl.status"},
		"navidrome refreshes":                      {"navidrome", append([]string{"plugin", "refresh", "echo"}, prefix...), exitFailure, "", "the NATS server refuses this user"},
		"an operator calls":                        {"operator", call, exitDone, "hello", ""},
		"a prefix that is none":                    {"operator", slices.Concat(call, []string{"--inbox-prefix", "a.>"}), exitUsage, "", "--inbox-prefix"},
	} {
		t.Run(name, func(t *testing.T) {
			got := pluginhost(t.Context(), "", append(slices.Clone(test.args), "--nats", as(test.user))...)
			if got.code != test.code || !strings.Contains(got.out, test.out) || !strings.Contains(got.err, test.err) {
				t.Errorf("got %+v, want %d with %q and %q", got, test.code, test.out, test.err)
			}
		})
	}
	t.Setenv("PLUGINHOST_INBOX_PREFIX", "_INBOX_navidrome")
	if got := pluginhost(t.Context(), "", slices.Concat(call, []string{"--nats", as("navidrome")})...); got.code != exitDone {
		t.Errorf("with the variable: %+v", got)
	}
}
