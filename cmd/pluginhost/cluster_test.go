package main

import (
	"strings"
	"testing"
)

func TestInstallUpdateAndRemoveForTheCluster(t *testing.T) {
	t.Parallel()
	first := serveProcess(t, t.TempDir(), "--listen", "127.0.0.1:0")
	own := t.TempDir()
	second := serveProcess(t, own, "--nats", first.NATS)
	run := func(stdin string, args ...string) result {
		return pluginhost(t.Context(), stdin, append(append([]string{"plugin"}, args...), "--nats", first.NATS)...)
	}
	wants := func(got result, code int, parts ...string) {
		t.Helper()
		for _, part := range parts {
			if got.code != code || !strings.Contains(got.out+got.err, part) {
				t.Fatalf("got %+v, want %d with %q", got, code, part)
			}
		}
	}
	both := func(text string) []string {
		return []string{"echo on " + first.ReplicaID + ": " + text, "echo on " + second.ReplicaID + ": " + text}
	}
	one := echoPackage(t, "1.0.0", nil, 0)
	wants(run("", "update", one, "--cluster"), exitFailure, "plugin not installed for the cluster")
	wants(run("", "install", one, "--cluster"), exitDone, append(both("loaded, generation "), "Plugin 'echo' v1.0.0 installed successfully for the cluster\n")...)
	wants(pluginhost(t.Context(), "", "call", "echo", "get_artist_url", `{"id":"hello"}`, "--nats", first.NATS), exitDone, "hello")
	wants(run("", "install", one, "--cluster"), exitFailure, "plugin already installed for the cluster")
	wants(run("", "remove", "echo", "--plugins", own), exitFailure, "plugin not found: echo")

	two := echoPackage(t, "2.0.0", map[string]any{"cache": map[string]string{"reason": "to be fast"}}, 0)
	wants(run("n\n", "update", two, "--cluster"), exitFailure, "  + cache: to be fast\n", "operation canceled, nothing is changed")
	wants(run("", "update", two, "--cluster", "--yes"), exitDone, append(both("loaded, generation "), "updated to v2.0.0 successfully for the cluster\n")...)
	wants(run("", "list"), exitDone, "2.0.0", "ready 2")
	wants(run("", "info", "echo"), exitDone, "    Reason: to be fast\n", "set_string", "  File:        installed for the cluster\n", "permission cache is asked for and never used")

	// A folder's own plugin of this id goes first, and the command says so.
	wants(run("", "install", one, "--plugins", own), exitDone, "echo on "+second.ReplicaID+": loaded, generation ")
	wants(run("", "update", two, "--cluster"), exitDone, "echo on "+second.ReplicaID+": loaded", "from its plugins folder, which has one of this id")
	wants(run("", "remove", "echo", "--plugins", own), exitDone, "Plugin 'echo' removed successfully")

	wants(run("", "remove", "echo", "--cluster"), exitDone, "Plugin 'echo' removed successfully")
	wants(run("", "info", "echo"), exitFailure, "plugin echo is on no replica")
	wants(run("", "remove", "echo", "--cluster"), exitFailure, "plugin not installed for the cluster")
	wants(run("", "remove", "echo", "--cluster", "--purge"), exitDone, "Plugin 'echo' is not installed for the cluster\nWhat it had cached is dropped\n")
}
