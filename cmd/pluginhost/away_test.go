//go:build unix

package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
)

// The last plugin that is deleted without the command goes on, the operator is told, and has
// the last word.
func TestTheLastPluginThatIsDeletedGoesOnUntilItIsPurged(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	addEcho(t, folder)
	replica := serveProcess(t, folder, "--listen", "127.0.0.1:0")
	count := cached(t, replica.NATS)
	if err := os.RemoveAll(filepath.Join(folder, "echo")); err != nil {
		t.Fatal(err)
	}
	got := pluginhost(t.Context(), "", "plugin", "refresh", "echo", "--nats", replica.NATS)
	if got.code != exitFailure || !strings.Contains(got.out, "is empty. It goes on as it is; pluginhost plugin remove echo --purge ends it") {
		t.Errorf("a refresh says %+v", got)
	}
	for _, args := range [][]string{{"status"}, {"plugin", "info", "echo", "--plugins", folder}} {
		if got := pluginhost(t.Context(), "", append(args, "--nats", replica.NATS)...); !strings.Contains(got.out, "the plugins folder "+folder+" is empty") {
			t.Errorf("%v says %+v", args, got)
		}
	}
	if got := pluginhost(t.Context(), "", "call", "--nats", replica.NATS, "echo", "get_artist_url"); got.code != exitDone {
		t.Errorf("a call is answered with %+v", got)
	}
	if got := pluginhost(t.Context(), "", "plugin", "remove", "echo", "--nats", replica.NATS, "--plugins", folder); got.code != exitFailure || !strings.Contains(got.err, "plugin not found") || !strings.Contains(got.err, "--purge") {
		t.Errorf("without --purge: %+v", got)
	}
	got = pluginhost(t.Context(), "", "plugin", "remove", "echo", "--purge", "--nats", replica.NATS, "--plugins", folder)
	if want := (result{exitDone, "Plugin 'echo' is not in the plugins folder\nWhat it had cached is dropped\n", ""}); got != want {
		t.Errorf("got %+v", got)
	}
	if n := count(); n != 0 {
		t.Errorf("%d values are cached after a purge", n)
	}
	if got := pluginhost(t.Context(), "", "call", "--nats", replica.NATS, "echo", "get_artist_url"); !strings.HasPrefix(got.err, "503 unavailable") {
		t.Errorf("a call is answered with %+v", got)
	}
	if got := pluginhost(t.Context(), "", "status", "--nats", replica.NATS); strings.Contains(got.out, "is empty") {
		t.Errorf("status says %+v", got)
	}
}

// A pipe that nobody writes to, and a device that never ends, cost their own plugin only.
func TestPipesInThePluginsFolderHoldNobodyUp(t *testing.T) {
	t.Parallel()
	folder := probeFolder(t)
	manifest, wasm := testenv.Manifest(nil, "MetadataAgent"), guests.Handmade{Body: guests.Echo}.Bytes()
	testenv.AddPlugin(t, folder, "pipe-manifest", nil, wasm)
	testenv.AddPlugin(t, folder, "pipe-wasm", manifest, nil)
	testenv.AddPlugin(t, folder, "endless-manifest", nil, wasm)
	testenv.AddPlugin(t, folder, "endless-wasm", manifest, nil)
	for _, path := range []string{"pipe-manifest/manifest.json", "pipe-wasm/plugin.wasm"} {
		if err := syscall.Mkfifo(filepath.Join(folder, path), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{"endless-manifest/manifest.json", "endless-wasm/plugin.wasm"} {
		if err := os.Symlink("/dev/zero", filepath.Join(folder, path)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(folder, "plain-pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	replica := serveProcess(t, folder, "--listen", "127.0.0.1:0")
	if got := pluginhost(t.Context(), "", "call", "--nats", replica.NATS, "echo", "get_artist_url"); got.code != exitDone {
		t.Errorf("another plugin answers %+v", got)
	}
	got := pluginhost(t.Context(), "", "plugin", "list", "--nats", replica.NATS)
	for id, kind := range map[string]string{"pipe-manifest": "named pipe", "pipe-wasm": "named pipe", "endless-manifest": "device", "endless-wasm": "device"} {
		found := false
		for line := range strings.Lines(got.out) {
			found = found || strings.Contains(line, id) && strings.Contains(line, "is not a regular file: it is a "+kind)
		}
		if !found {
			t.Errorf("%s is not told to be a %s:\n%s", id, kind, got.out)
		}
	}
	replica.Signal(syscall.SIGTERM)
	if code := replica.Wait(); code != exitDone {
		t.Errorf("it ends with %d", code)
	}
}

func TestAConfigurationThatIsAPipeIsRefused(t *testing.T) {
	t.Parallel()
	pipe := filepath.Join(t.TempDir(), "pluginhost.toml")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	got := pluginhost(t.Context(), "", "serve", "--config", pipe, "--data", t.TempDir())
	if got.code == exitDone || !strings.Contains(got.err, pipe+" is not a regular file: it is a named pipe") {
		t.Errorf("got %+v", got)
	}
	got = pluginhost(t.Context(), "", "serve", "--creds", pipe, "--nats", "nats://127.0.0.1:1", "--data", t.TempDir())
	if got.code == exitDone || !strings.Contains(got.err, "is not a regular file") {
		t.Errorf("got %+v", got)
	}
}

// Both would have the same settings, wherever the other one comes from.
func TestInstallRefusesAPluginThatDiffersInNothingButCase(t *testing.T) {
	t.Parallel()
	here, there := t.TempDir(), t.TempDir()
	addEcho(t, there)
	replica := serveProcess(t, there, "--listen", "127.0.0.1:0")
	source := t.TempDir()
	addEcho(t, source)
	file := filepath.Join(t.TempDir(), "echo.ndp")
	if got := pluginhost(t.Context(), "", "plugin", "build", filepath.Join(source, "echo"), "-o", file); got.code != exitDone {
		t.Fatalf("%+v", got)
	}
	for _, where := range [][]string{{"--plugins", here}, {"--plugins", there}, {"--cluster"}} {
		got := pluginhost(t.Context(), "", append([]string{"plugin", "install", file, "--as", "Echo", "--nats", replica.NATS}, where...)...)
		if got.code != exitFailure || !strings.Contains(got.err, "in nothing but case") || !strings.Contains(got.err, "--as ID") {
			t.Errorf("%v: %+v", where, got)
		}
		if entries, err := os.ReadDir(here); err != nil || len(entries) > 0 {
			t.Errorf("%v: the folder has %v, %v", where, entries, err)
		}
	}
}
