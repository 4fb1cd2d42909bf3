package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
)

func TestCallsOfAPluginCompiledFromSource(t *testing.T) {
	t.Parallel()
	replica := serveProcess(t, probeFolder(t), "--listen", "127.0.0.1:0")

	for name, c := range map[string]struct {
		args  []string
		stdin string
		want  result
	}{
		"an answer is JSON": {
			args: []string{"probe", "get_artist_biography", `{"name":"Nina Simone"}`},
			want: result{exitDone, `{"biography":"biography of Nina Simone"}` + "\n", ""},
		},
		"the request can come from standard input": {
			args:  []string{"probe", "get_artist_biography", "-"},
			stdin: `{"name":"Nina Simone"}`,
			want:  result{exitDone, `{"biography":"biography of Nina Simone"}` + "\n", ""},
		},
		"no request is an empty one; a text that says no more is left out": {
			args: []string{"probe", "get_artist_mbid"},
			want: result{exitFailure, "", "404 plugin:not_found\n"},
		},
		"the plugin's own error is passed on": {
			args: []string{"probe", "get_artist_biography", `{"name":"error the upstream is down"}`},
			want: result{exitFailure, "", "500 plugin_error: the upstream is down\n"},
		},
		"an error in the response is the plugin's own": {
			args: []string{"probe", "now_playing", `{"track":{"name":"full"}}`},
			want: result{exitDone, `{"error":"full"}` + "\n", ""},
		},
		"the timeout stops the guest": {
			args: []string{"probe", "get_artist_biography", `{"name":"loop"}`, "--timeout", "300ms"},
			want: result{exitFailure, "", "408 deadline_exceeded: the guest was stopped at the call's deadline\n"},
		},
		"a method that is missing in the plugin": {
			args: []string{"echo", "scrobble"},
			want: result{exitFailure, "", "501 plugin:not_implemented: scrobble is a method of Scrobbler, which is not in the manifest of echo\n"},
		},
		"no such plugin": {
			args: []string{"nobody", "scrobble"},
			want: result{exitFailure, "", "503 unavailable: plugin nobody is on no replica: put it into the plugins folder, or check the name with pluginhost plugin list\n"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := pluginhost(t.Context(), c.stdin, append([]string{"call", "--nats", replica.NATS}, c.args...)...)
			got.out = strings.ReplaceAll(got.out, `": "`, `":"`) // protojson puts in spaces at random
			if got != c.want {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}

func TestCommandLinesThatCannotBeUsedExitWithTwo(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"call"}, {"call", "one"}, {"call", "a", "b", "c", "d"}, {"status", "extra"}, {"serve", "--no-such-flag"},
		{"no-such-command"}, {"plugin", "no-such-command"}, {"call", "a", "b", "--timeout", "soon"}, {"serve", "--listen", "nowhere"},
	} {
		got := pluginhost(t.Context(), "", args...)
		if got.code != exitUsage || got.err == "" || got.out != "" {
			t.Errorf("%v: %+v, want exit code %d and a message", args, got, exitUsage)
		}
	}
}

func TestUsageErrorsNameWhatTheCommandTakes(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		"pluginhost call takes ID METHOD [JSON|-]: 1 given":                      {"call", "one"},
		"pluginhost status takes no arguments: 1 given":                          {"status", "extra"},
		"pluginhost schedule cancel takes PLUGIN (ID | --all): 2 given":          {"schedule", "cancel", "p", "s", "--all"},
		`unknown command "no-such-command" for "pluginhost plugin"`:              {"plugin", "no-such-command"},
		"pluginhost plugin install takes FILE" + plugin.PackageExt + ": 0 given": {"plugin", "install"},
	} {
		if got := pluginhost(t.Context(), "", args...); !strings.HasPrefix(got.err, want+"\nRun \"pluginhost ") {
			t.Errorf("%v: got %q, want %q", args, got.err, want)
		}
	}
}

func TestCommandsWithoutAServerSayWhatToDo(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"status"}, {"schedule", "list"}, {"call", "a", "b"}} {
		got := pluginhost(t.Context(), "", append(args, "--nats", nowhere)...)
		if got.code != exitFailure || !strings.Contains(got.err, "no NATS server at "+nowhere+": start pluginhost serve") {
			t.Errorf("%v: %+v", args, got)
		}
	}
	url := testenv.NATS(t)
	for _, args := range [][]string{{"status"}, {"call", "a", "b"}} {
		got := pluginhost(t.Context(), "", append(args, "--nats", url)...)
		if got.code != exitFailure || !strings.Contains(got.err, "no replica answers") {
			t.Errorf("%v: %+v", args, got)
		}
	}
}

func TestStatusAndListTellEveryPlugin(t *testing.T) {
	t.Parallel()
	folder := probeFolder(t)
	testenv.AddPlugin(t, folder, "broken", testenv.Manifest(nil, "MetadataAgent"), []byte("no wasm"))
	replica := serveProcess(t, folder, "--listen", "127.0.0.1:0")

	list := pluginhost(t.Context(), "", "plugin", "list", "--nats", replica.NATS)
	for _, want := range []string{"ID", "probe", "MetadataAgent, Scrobbler", "ready 1", "failed 1"} {
		if !strings.Contains(list.out, want) {
			t.Errorf("plugin list lacks %q:\n%s%s", want, list.out, list.err)
		}
	}
	text := pluginhost(t.Context(), "", "status", "--nats", replica.NATS)
	for _, want := range []string{replica.ReplicaID, "ready", "broken on", "not a WebAssembly module"} {
		if !strings.Contains(text.out, want) {
			t.Errorf("status lacks %q:\n%s%s", want, text.out, text.err)
		}
	}
	var document statusDocument
	machine := pluginhost(t.Context(), "", "status", "--json", "--nats", replica.NATS)
	if err := json.Unmarshal([]byte(machine.out), &document); err != nil {
		t.Fatalf("%v\n%s", err, machine.out)
	}
	if document.V != 1 || len(document.Replicas) != 1 || !document.Replicas[0].Ready || len(document.Replicas[0].Plugins) != 3 {
		t.Fatalf("status --json: %+v", document)
	}
	if broken := document.Replicas[0].Plugins[0]; broken.ID != "broken" || broken.State != subjects.StateFailed || broken.Error == "" {
		t.Errorf("the broken plugin is told as %+v", broken)
	}
}

func TestClientThatIsNotGo(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("REQUIRE_NODE") != "" {
				t.Fatal(err)
			}
			t.Skip(err)
		}
	}
	work := t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json", "call.mjs"} {
		content, err := os.ReadFile(filepath.Join(guests.Root(), "testenv", "node", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(work, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	execute := func(program string, args ...string) []byte {
		t.Helper()
		cmd := exec.Command(program, args...)
		cmd.Dir = work
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s %v: %v\n%s", program, args, err, out)
		}
		return out
	}
	execute("npm", "ci", "--no-audit", "--no-fund", "--loglevel=error")
	replica := serveProcess(t, probeFolder(t), "--listen", "127.0.0.1:0")

	type reply struct{ Code, Error, ContentType, Replica, Body string }
	ask := func(method, body string) (r reply) {
		t.Helper()
		out := execute("node", "call.mjs", replica.NATS, "plugins.probe."+method, body)
		if err := json.Unmarshal(out, &r); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		r.Body = strings.ReplaceAll(r.Body, `": "`, `":"`)
		return r
	}
	if got, want := ask("get_artist_mbid", `{"name":"Nina Simone"}`), (reply{"", "", "application/json", replica.ReplicaID, `{"mbid":"mbid of Nina Simone"}`}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got, want := ask("get_artist_mbid", `{}`), (reply{"404", "plugin:not_found", "", replica.ReplicaID, ""}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
