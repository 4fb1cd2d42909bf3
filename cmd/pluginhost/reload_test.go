package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
)

// eventually waits until something holds.
func eventually(t *testing.T, what string, process *testenv.Process, holds func() bool) {
	t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	timeout := time.After(time.Minute)
	for !holds() {
		select {
		case <-ticker.C:
		case <-timeout:
			t.Fatalf("never: %s\n%s", what, process.Log())
		}
	}
}

// configured is a replica in a process of its own with a configuration file.
type configured struct {
	*testenv.Process
	t    *testing.T
	file string
	lead string // what the file begins with
}

// startConfigured runs the plugins echo and other with a file that goes on with
// content.
func startConfigured(t *testing.T, lead, content string) *configured {
	t.Helper()
	folder := t.TempDir()
	addEcho(t, folder)
	if err := os.CopyFS(filepath.Join(folder, "other"), os.DirFS(filepath.Join(folder, "echo"))); err != nil {
		t.Fatal(err)
	}
	c := &configured{t: t, file: filepath.Join(t.TempDir(), "host.toml"), lead: testenv.SharedCache + lead}
	c.write(content)
	c.Process = serveProcess(t, folder, "--listen", "127.0.0.1:0", "--config", c.file)
	return c
}

func (c *configured) write(content string) {
	c.t.Helper()
	if err := os.WriteFile(c.file, []byte(c.lead+content), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// generations are those of echo and other.
func (c *configured) generations() (echo, other string) {
	c.t.Helper()
	replicas, err := client.New(testenv.Connect(c.t, c.NATS)).Status(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	for _, p := range replicas[0].Plugins {
		switch p.ID {
		case "echo":
			echo = p.Generation
		case "other":
			other = p.Generation
		}
	}
	return echo, other
}

func TestChangedConfigurationFileIsApplied(t *testing.T) {
	t.Parallel()
	c := startConfigured(t, "", "[PluginConfig.echo]\nkey = 1\n")
	echo, other := c.generations()

	c.write("[PluginConfig.echo]\nkey = 2\n[HTTP]\nToken = \"0123456789abcdef\"\n")
	eventually(t, "the plugin that it is for is loaded anew", c.Process, func() bool {
		return c.Logged(`"configuration applied"`, `"loaded":["echo"]`)
	})
	echoNow, otherNow := c.generations()
	if echoNow == echo || otherNow != other {
		t.Errorf("echo has generation %s, was %s; other has %s, was %s", echoNow, echo, otherNow, other)
	}
	if !c.Logged(`"level":"WARN"`, `"key":"[HTTP] Token"`, "after a restart") {
		t.Errorf("nothing is said about the setting that needs a restart\n%s", c.Log())
	}

	c.write("[PluginConfig.echo]\nkey = 3\n[Runtime]\nPoolSize = 0\nTimeuot = \"1s\"\n")
	eventually(t, "the faults are told", c.Process, func() bool { return c.Logged("is not applied") })
	for _, fault := range []string{"[Runtime] PoolSize", "[Runtime] Timeuot"} {
		if !c.Logged(`"level":"ERROR"`, "fault in the configuration", fault) {
			t.Errorf("nothing is said about %s\n%s", fault, c.Log())
		}
	}
	if echoAfter, otherAfter := c.generations(); echoAfter != echoNow || otherAfter != other {
		t.Errorf("with faults echo has generation %s, was %s; other has %s, was %s", echoAfter, echoNow, otherAfter, other)
	}

	c.write("[PluginConfig.echo]\nkey = 1\n")
	eventually(t, "the first configuration is back", c.Process, func() bool {
		first, _ := c.generations()
		return first == echo
	})
	c.Signal(syscall.SIGTERM)
	if code := c.Wait(); code != exitDone {
		t.Errorf("the replica exited with %d\n%s", code, c.Log())
	}
}

func TestHangupAppliesTheConfigurationAndLoadsWhatHasChanged(t *testing.T) {
	t.Parallel()
	c := startConfigured(t, "Watch = false\n", "")
	echo, other := c.generations()
	folder := c.folder(t)
	testenv.AddPlugin(t, folder, "new", testenv.Manifest(nil, "MetadataAgent"), mustRead(t, filepath.Join(folder, "echo", "plugin.wasm")))
	c.write("[PluginConfig.other]\nkey = 1\n")
	c.Signal(syscall.SIGHUP)
	eventually(t, "both have been looked at", c.Process, func() bool {
		return c.Logged(`"configuration applied"`, `"loaded":["other"]`) && c.Logged(`"plugin loaded"`, `"plugin":"new"`)
	})
	echoNow, otherNow := c.generations()
	if echoNow != echo || otherNow == other {
		t.Errorf("echo has generation %s, was %s; other has %s, was %s", echoNow, echo, otherNow, other)
	}
}

// folder is where the replica said that it loads plugins from.
func (c *configured) folder(t *testing.T) string {
	t.Helper()
	for line := range strings.Lines(c.Log()) {
		var record struct{ Msg, Folder string }
		if json.Unmarshal([]byte(line), &record) == nil && record.Msg == "loading plugins" {
			return record.Folder
		}
	}
	t.Fatalf("no folder in the log\n%s", c.Log())
	return ""
}

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestRefreshOfPluginsOnTwoReplicas(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	var folders []string
	var replicas []*testenv.Process
	for range 2 {
		folder := t.TempDir()
		addEcho(t, folder)
		folders = append(folders, folder)
		args := []string{"--nats", url}
		replicas = append(replicas, serveProcess(t, folder, args...))
	}
	refresh := func(args ...string) (result, refreshDocument) {
		t.Helper()
		got := pluginhost(t.Context(), "", append([]string{"plugin", "refresh", "--nats", url, "--json"}, args...)...)
		var document refreshDocument
		if err := json.Unmarshal([]byte(got.out), &document); err != nil {
			t.Fatalf("%v\n%+v", err, got)
		}
		return got, document
	}
	outcomes := func(document refreshDocument) map[string]subjects.Outcome {
		outcomes := map[string]subjects.Outcome{}
		for _, p := range document.Plugins {
			for _, r := range p.Replicas {
				i := slices.IndexFunc(replicas, func(p *testenv.Process) bool { return p.ReplicaID == r.Replica })
				outcomes[p.ID+[]string{" on the first", " on the second"}[i]] = r.Outcome
			}
		}
		return outcomes
	}
	expect := func(got result, document refreshDocument, code int, want map[string]subjects.Outcome) {
		t.Helper()
		have := outcomes(document)
		for key, outcome := range want {
			if have[key] != outcome {
				t.Errorf("%s: %q, want %q", key, have[key], outcome)
			}
		}
		if len(have) != len(want) || got.code != code {
			t.Errorf("%v, want %v; exit code %d, want %d\n%s", have, want, got.code, code, got.err)
		}
	}

	got, document := refresh("echo")
	expect(got, document, exitDone, map[string]subjects.Outcome{"echo on the first": "loaded", "echo on the second": "loaded"})

	// A new plugin, one that fails on one replica, and one that is gone there.
	wasm := mustRead(t, filepath.Join(folders[0], "echo", "plugin.wasm"))
	for _, folder := range folders {
		testenv.AddPlugin(t, folder, "new", testenv.Manifest(nil, "MetadataAgent"), wasm)
	}
	testenv.AddPlugin(t, folders[1], "echo", nil, []byte("none"))
	got, document = refresh("new", "echo")
	expect(got, document, exitFailure, map[string]subjects.Outcome{
		"new on the first": "loaded", "new on the second": "loaded", "echo on the first": "loaded", "echo on the second": "failed",
	})
	if !strings.Contains(got.err, "plugin echo: failed to load on 1 of 2 replicas") {
		t.Errorf("the command says %q", got.err)
	}
	text := pluginhost(t.Context(), "", "plugin", "refresh", "--nats", url, "--all")
	for _, want := range []string{"OUTCOME", "echo on " + replicas[1].ReplicaID, "still serves: not a WebAssembly module", "new"} {
		if !strings.Contains(text.out, want) || text.code != exitFailure {
			t.Errorf("plugin refresh --all exits with %d and lacks %q:\n%s", text.code, want, text.out)
		}
	}
	for _, args := range [][]string{{"plugin", "list"}, {"plugin", "info", "echo"}, {"status"}} {
		text := pluginhost(t.Context(), "", append(args, "--nats", url)...)
		if want := "echo on " + replicas[1].ReplicaID + ": the newest version does not load, generation "; !strings.Contains(text.out, want) || text.code != exitDone {
			t.Errorf("%v exits with %d and lacks %q:\n%s", args, text.code, want, text.out)
		}
	}
	if err := os.RemoveAll(filepath.Join(folders[0], "new")); err != nil {
		t.Fatal(err)
	}
	got, document = refresh("new")
	expect(got, document, exitDone, map[string]subjects.Outcome{"new on the first": "unloaded", "new on the second": "loaded"})

	nobody := pluginhost(t.Context(), "", "plugin", "refresh", "--nats", url, "nobody")
	if nobody.code != exitFailure || !strings.Contains(nobody.err, "plugin nobody is on no replica") {
		t.Errorf("of what never was: %+v", nobody)
	}
}

func TestInfoTellsWhatThereIsToKnow(t *testing.T) {
	t.Parallel()
	replica := serveProcess(t, probeFolder(t), "--listen", "127.0.0.1:0")
	text := pluginhost(t.Context(), "", "plugin", "info", "--nats", replica.NATS, "probe")
	for _, want := range []string{"probe", "A plugin for tests.", "https://example.com", "MetadataAgent, Scrobbler", "1.0.0", "GENERATION", replica.ReplicaID} {
		if !strings.Contains(text.out, want) {
			t.Errorf("plugin info lacks %q:\n%s%s", want, text.out, text.err)
		}
	}
	var document infoDocument
	machine := pluginhost(t.Context(), "", "plugin", "info", "--nats", replica.NATS, "--json", "probe")
	if err := json.Unmarshal([]byte(machine.out), &document); err != nil {
		t.Fatalf("%v\n%+v", err, machine)
	}
	if document.V != 1 || document.ID != "probe" || len(document.Replicas) != 1 || document.Replicas[0].Plugin.Generation == "" {
		t.Errorf("plugin info --json: %s", machine.out)
	}
	nobody := pluginhost(t.Context(), "", "plugin", "info", "--nats", replica.NATS, "nobody")
	if nobody.code != exitFailure || !strings.Contains(nobody.err, "plugin nobody is on no replica") || nobody.out != "" {
		t.Errorf("of what never was: %+v", nobody)
	}
}

func TestRefreshWithoutReplicasSaysSo(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	for _, args := range [][]string{{"refresh", "echo"}, {"refresh", "--all"}, {"info", "echo"}} {
		got := pluginhost(t.Context(), "", append(append([]string{"plugin"}, args...), "--nats", url)...)
		if got.code != exitFailure || !strings.Contains(got.err, client.ErrNoReplica.Error()) || got.out != "" {
			t.Errorf("%v: %+v", args, got)
		}
	}
	for _, args := range [][]string{{"refresh"}, {"refresh", "--all", "echo"}, {"info"}} {
		if got := pluginhost(t.Context(), "", append([]string{"plugin"}, args...)...); got.code != exitUsage || got.err == "" {
			t.Errorf("%v: %+v", args, got)
		}
	}
}

// What is wrong with the newest configuration is in status and in events until it is mended.
func TestConfigurationThatIsNotAppliedShowsUntilItIsMended(t *testing.T) {
	t.Parallel()
	const good = "[PluginConfig.echo]\nkey = 1\n[Navidrome]\nURL = \"http://127.0.0.1:9\"\n"
	for name, test := range map[string]struct{ broken, fault string }{
		"emptied":           {"", "the file is empty"},
		"emptied to a line": {"\n", "the file is empty"},
		"a fault":           {good + "[Runtime]\nPoolSize = 0\n", "[Runtime] PoolSize"},
		"cut short":         {good[:len(good)-5], "unterminated"},
	} {
		t.Run(name, func(t *testing.T) {
			c := startConfigured(t, "", good)
			conn := testenv.Connect(t, c.NATS)
			events, err := conn.SubscribeSync("pluginhost.event.*." + subjects.Token(c.ReplicaID))
			if err != nil {
				t.Fatal(err)
			}
			if err := conn.Flush(); err != nil {
				t.Fatal(err)
			}
			next := func(kind subjects.EventKind) subjects.ConfigEvent {
				t.Helper()
				msg, err := events.NextMsg(time.Minute)
				if err != nil {
					t.Fatalf("%v\n%s", err, c.Log())
				}
				var event subjects.ConfigEvent
				if err := json.Unmarshal(msg.Data, &event); err != nil {
					t.Fatal(err)
				}
				if msg.Subject != subjects.Event(kind, c.ReplicaID) || event.Replica != c.ReplicaID {
					t.Errorf("the event is %s %+v, want %s", msg.Subject, event, kind)
				}
				return event
			}
			echo, other := c.generations()
			lead := c.lead
			if strings.TrimSpace(test.broken) == "" {
				c.lead = ""
			}
			c.write(test.broken)
			if event := next(subjects.EventConfigRefused); len(event.Faults) != 1 || !strings.Contains(event.Faults[0], test.fault) {
				t.Errorf("the event tells %q, want %q", event.Faults, test.fault)
			}
			text := pluginhost(t.Context(), "", "status", "--nats", c.NATS)
			if want := c.ReplicaID + ": the configuration is not applied, the one before stays: "; !strings.Contains(text.out, want) || !strings.Contains(text.out, test.fault) {
				t.Errorf("status lacks %q:\n%s", want, text.out)
			}
			if echoNow, otherNow := c.generations(); echoNow != echo || otherNow != other {
				t.Errorf("plugins were loaded anew\n%s", c.Log())
			}
			c.lead = lead
			c.write(good)
			if event := next(subjects.EventConfigApplied); len(event.Faults) != 0 {
				t.Errorf("the event tells %q", event.Faults)
			}
			if text := pluginhost(t.Context(), "", "status", "--nats", c.NATS); strings.Contains(text.out, "is not applied") {
				t.Errorf("status still tells of it:\n%s", text.out)
			}
		})
	}
}

func TestSettingsForAPluginThatIsNotThereAreAWarning(t *testing.T) {
	t.Parallel()
	c := startConfigured(t, "", "[PluginConfig.ecco]\nkey = 1\n[PluginConfig.OTHER]\nkey = 1\n")
	if !c.Logged(`"level":"WARN"`, "settings are for a plugin that is not here", `"section":"[PluginConfig.ecco]"`, `"did_you_mean":"echo"`) || c.Logged("settings are for", "OTHER") {
		t.Errorf("at the start the log is\n%s", c.Log())
	}
	c.write("[Runtime.Plugin.nobody]\nPoolSize = 3\n")
	eventually(t, "it is told of the new section", c.Process, func() bool {
		return c.Logged(`"level":"WARN"`, "settings are for a plugin that is not here", `"section":"[Runtime.Plugin.nobody]"`)
	})
}
