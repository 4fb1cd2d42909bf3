package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
)

// nowhere is a NATS URL at which nobody listens.
const nowhere = "nats://127.0.0.1:1"

// echoPackage writes the package of a version of echo. Its folder has so many more files,
// each of which tells the version.
func echoPackage(t *testing.T, version string, permissions map[string]any, files int) string {
	t.Helper()
	folder := t.TempDir()
	var manifest map[string]any
	if err := json.Unmarshal(testenv.Manifest(permissions, plugin.MetadataAgent), &manifest); err != nil {
		t.Fatal(err)
	}
	manifest["name"], manifest["version"] = "echo", version
	content, err := json.Marshal(manifest)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, content []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("manifest.json", content)
	write("plugin.wasm", guests.Handmade{Body: guests.Echo}.Bytes())
	for i := range files {
		write(fmt.Sprintf("%d.md", i), []byte(version))
	}
	path := filepath.Join(t.TempDir(), "echo-"+version+plugin.PackageExt)
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := plugin.Pack(t.Context(), folder, file); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestInstallUpdateAndRemoveWithAReplica(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	replica := serveProcess(t, folder, "--listen", "127.0.0.1:0")
	run := func(stdin string, args ...string) result {
		return pluginhost(t.Context(), stdin, append(append([]string{"plugin"}, args...), "--plugins", folder, "--nats", replica.NATS)...)
	}
	wants := func(got result, code int, out, err string) {
		t.Helper()
		if got.code != code || !strings.Contains(got.out, out) || !strings.Contains(got.err, err) {
			t.Fatalf("got %+v, want %d with %q and %q", got, code, out, err)
		}
	}
	version := func(want string) {
		t.Helper()
		wants(run("", "list"), exitDone, want, "")
	}
	first := echoPackage(t, "1.0.0", nil, 0)
	wants(run("", "install", first), exitDone, "Plugin 'echo' v1.0.0 installed successfully\necho on ", "")
	wants(pluginhost(t.Context(), "", "call", "echo", "get_artist_url", `{"id":"hello"}`, "--nats", replica.NATS), exitDone, "hello", "")
	wants(run("", "install", first), exitFailure, "", "pluginhost plugin update puts the package in its place")
	other := t.TempDir()
	wants(pluginhost(t.Context(), "", "plugin", "install", echoPackage(t, "1.0.1", nil, 0), "--plugins", other, "--nats", replica.NATS),
		exitFailure, "Plugin 'echo' v1.0.1 is installed, but NOT loaded\n", "NOT loaded: plugin echo is in "+other+", which is the plugins folder of none of 1 replicas")
	wants(run("", "update", echoPackage(t, "1.1.0", nil, 0)), exitDone, "Plugin 'echo' updated to v1.1.0 successfully\nReplaced v1.0.0\necho on ", "")
	version("1.1.0")

	// More permissions are asked for.
	more := echoPackage(t, "2.0.0", map[string]any{"cache": map[string]string{"reason": "to be\x1b[2J fast"}}, 0)
	const question = "Version 2.0.0 of plugin 'echo' may also use:\n  + cache: to be\uFFFD[2J fast\nDo you want to update it? (y/N): "
	wants(run("n\n", "update", more), exitFailure, "", question+"operation canceled, nothing is changed\n")
	wants(run("", "update", more), exitFailure, "", "there is nobody to ask, --yes answers with yes")
	version("1.1.0")
	wants(run("y\n", "update", more), exitDone, "Warning: permission cache is asked for and never used\n", question)
	version("2.0.0")
	wants(run("", "update", first, "--as", "other", "--yes"), exitFailure, "", "plugin not found: other")

	wants(run("", "install", first, "--as", "second"), exitDone, "Plugin 'second' v1.0.0 installed successfully", "")
	wants(run("", "install", more, "--as", "fourth"), exitDone, "Plugin 'fourth' v2.0.0 installed successfully\nIt may use:\n  cache: to be\uFFFD[2J fast\n", "")
	wants(run("", "info", "second"), exitDone, "Required Permissions:\n  -\n", "")
	wants(run("", "info", "echo"), exitDone, "Warnings:\n  permission cache is asked for and never used\n", "")
	wants(run("", "remove", "second"), exitDone, "Plugin 'second' removed successfully", "")
	wants(run("", "info", "second"), exitFailure, "", "plugin second is on no replica")

	var document installedDocument
	got := run("", "update", echoPackage(t, "2.1.0", map[string]any{"cache": map[string]string{"reason": "to be fast"}}, 0), "--as", "fourth", "--json")
	if err := json.Unmarshal([]byte(got.out), &document); err != nil || document.Before != "2.0.0" || document.Version != "2.1.0" || document.MayUse != nil {
		t.Errorf("got %+v: %v", got, err)
	}
	got = run("", "install", more, "--as", "fifth", "--json")
	if err := json.Unmarshal([]byte(got.out), &document); err != nil || len(document.MayUse) != 1 {
		t.Errorf("got %+v: %v", got, err)
	}
	document = installedDocument{}
	got = run("", "install", first, "--as", "third", "--json")
	if err := json.Unmarshal([]byte(got.out), &document); err != nil || document.V != 1 || document.ID != "third" || len(document.Replicas) != 1 || len(document.Digest) != 64 {
		t.Errorf("got %+v: %v", got, err)
	}
}

func TestPluginCommandsWithoutAHost(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "plugins")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) result {
		return pluginhost(t.Context(), "", append(append([]string{"plugin"}, args...), "--plugins", folder, "--nats", nowhere)...)
	}
	none := "No host was told: no NATS server at " + nowhere
	got := run("list")
	if got.code != exitDone || !strings.HasPrefix(got.err, "No host was asked: ") {
		t.Errorf("list of nothing: %+v", got)
	}
	if got := run("install", echoPackage(t, "1.0.0", nil, 0)); got.code != exitDone || !strings.Contains(got.out, none) {
		t.Errorf("install: %+v", got)
	}
	if got := run("list"); got.code != exitDone || !strings.Contains(got.out, "echo") || !strings.Contains(got.out, "1.0.0") {
		t.Errorf("list: %+v", got)
	}
	if got := run("info", "echo"); got.code != exitDone || !strings.Contains(got.out, "Version:     1.0.0\n") || !strings.Contains(got.out, "No host was asked: ") {
		t.Errorf("info: %+v", got)
	}
	if got := run("update", echoPackage(t, "2.0.0", nil, 0)); got.code != exitDone || !strings.Contains(got.out, none) {
		t.Errorf("update: %+v", got)
	}
	if got := run("remove", "echo"); got.code != exitDone || !strings.Contains(got.out, "No replica has confirmed it: ") {
		t.Errorf("remove: %+v", got)
	}
	if got := run("info", "echo"); got.code != exitFailure || !strings.Contains(got.err, "plugin not found") {
		t.Errorf("info of nothing: %+v", got)
	}
}

func TestPackagesThatWouldNotLoadAreNotInstalled(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	source := t.TempDir()
	for name, c := range map[string]struct {
		wasm     []byte
		manifest []byte
		says     string
	}{
		"import":     {guests.Handmade{Imports: []string{"http_get"}}.Bytes(), testenv.Manifest(nil, plugin.MetadataAgent), "no host service has this function"},
		"export":     {guests.Handmade{}.Bytes(), testenv.Manifest(nil, plugin.Scrobbler), "capability Scrobbler: it does not export scrobbler_api_version"},
		"bad name":   {guests.Handmade{}.Bytes(), []byte(strings.Replace(string(testenv.Manifest(nil, plugin.MetadataAgent)), `"name":"`, `"name":"../../`, 1)), "--as ID"},
		"no module":  {[]byte("\x00asm\x01\x00\x00\x00\x01"), testenv.Manifest(nil, plugin.MetadataAgent), "not a valid WebAssembly module"},
		"a program":  {guests.Handmade{Start: true}.Bytes(), testenv.Manifest(nil, plugin.MetadataAgent), "-buildmode=c-shared"},
		"not enough": {[]byte("\x00asm\x01\x00\x00\x00"), testenv.Manifest(nil, plugin.MetadataAgent), "it does not export malloc"},
	} {
		t.Run(name, func(t *testing.T) {
			for file, content := range map[string][]byte{"plugin.wasm": c.wasm, "manifest.json": c.manifest} {
				if err := os.WriteFile(filepath.Join(source, file), content, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			path := filepath.Join(t.TempDir(), "p.ndp")
			file, err := os.Create(path)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := plugin.Pack(t.Context(), source, file); err != nil {
				t.Fatal(err)
			}
			if err := file.Close(); err != nil {
				t.Fatal(err)
			}
			got := pluginhost(t.Context(), "", "plugin", "install", path, "--plugins", folder, "--nats", nowhere)
			if got.code != exitFailure || !strings.Contains(got.err, c.says) {
				t.Errorf("got %+v, want %q", got, c.says)
			}
			if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
				t.Errorf("the folder was touched: %v, %v", left, err)
			}
		})
	}
}

// Whenever install and update are killed, the plugin is there as a whole, in one version,
// or was never there.
func TestKilledInstallsAndUpdatesLeaveNoBrokenPlugin(t *testing.T) {
	t.Parallel()
	const runs, files = 200, 12
	packages := map[string]string{"1.0.0": echoPackage(t, "1.0.0", nil, files), "2.0.0": echoPackage(t, "2.0.0", nil, files)}
	binary := testenv.Binary(t)
	folder := t.TempDir()
	command := func(verb, version string) *exec.Cmd {
		return exec.CommandContext(t.Context(), binary, "plugin", verb, packages[version], "--plugins", folder, "--nats", nowhere)
	}
	begun := time.Now()
	if out, err := command("install", "1.0.0").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	whole := time.Since(begun)
	installed, killed := "1.0.0", 0
	states := map[string]int{}
	for range runs {
		verb, version := "update", map[string]string{"1.0.0": "2.0.0", "2.0.0": "1.0.0"}[installed]
		if rand.IntN(3) == 0 {
			if _, err := plugin.Remove(t.Context(), folder, "echo"); err != nil {
				t.Fatal(err)
			}
			verb, version, installed = "install", "1.0.0", ""
		}
		cmd := command(verb, version)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(rand.N(whole), func() { _ = cmd.Process.Kill() })
		if err := cmd.Wait(); err != nil {
			killed++
		}
		timer.Stop()
		is := installedVersion(t, folder, files)
		if is != installed && is != version {
			t.Fatalf("%s of %s over %q left %q", verb, version, installed, is)
		}
		states[fmt.Sprintf("%s left the %s", verb, map[bool]string{true: "new one", false: "old one"}[is == version])]++
		if installed = is; is == "" {
			if out, err := command("install", "1.0.0").CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			installed = "1.0.0"
		}
	}
	t.Logf("%d of %d were killed: %v", killed, runs, states)
	if killed < runs/4 {
		t.Errorf("only %d of %d were killed in time", killed, runs)
	}
	if _, err := plugin.Remove(t.Context(), folder, "echo"); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(folder)
	if err != nil || len(left) != 2 || left[0].Name() != ".lock" || left[1].Name() != ".removed" { // the mark of the removal
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// installedVersion is that of echo, all of whose files must be of it; empty if there is
// none.
func installedVersion(t *testing.T, folder string, files int) string {
	t.Helper()
	entries, err := plugin.Scan(folder)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) == 0 {
		return ""
	}
	if len(entries) > 1 || entries[0].ID != "echo" || entries[0].Err != nil {
		t.Fatalf("the folder has %+v", entries)
	}
	version := entries[0].Manifest.Version
	if wasm, err := entries[0].ReadWasm(); err != nil || string(wasm) != string(guests.Handmade{Body: guests.Echo}.Bytes()) {
		t.Fatalf("its module is another one: %v", err)
	}
	for i := range files {
		content, err := os.ReadFile(filepath.Join(entries[0].Dir, fmt.Sprintf("%d.md", i)))
		if err != nil || string(content) != version {
			t.Fatalf("file %d of version %s says %q: %v", i, version, content, err)
		}
	}
	return version
}
