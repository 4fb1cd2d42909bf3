package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
)

// cached puts a value into the cache of echo and returns how to count those
// that are there.
func cached(t *testing.T, url string) (count func() int) {
	t.Helper()
	js, err := jetstream.New(testenv.Connect(t, url))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), subjects.CacheSubject+subjects.CacheKey("echo", "k"), []byte("\x01\x01ksv")); err != nil {
		t.Fatal(err)
	}
	return func() int {
		t.Helper()
		stream, err := js.Stream(t.Context(), subjects.CacheStream)
		if err != nil {
			t.Fatal(err)
		}
		info, err := stream.Info(t.Context(), jetstream.WithSubjectFilter(subjects.CacheSubject+subjects.CacheKey("echo", "k")))
		if err != nil {
			t.Fatal(err)
		}
		return len(info.State.Subjects)
	}
}

func TestRemoveTakesAPluginFromTheFolderAndItsReplica(t *testing.T) {
	t.Parallel()
	folder := probeFolder(t)
	replica := serveProcess(t, folder, "--listen", "127.0.0.1:0")
	count := cached(t, replica.NATS)
	got := pluginhost(t.Context(), "", "plugin", "remove", "echo", "--plugins", folder, "--nats", replica.NATS)
	if want := (result{exitDone, "Plugin 'echo' removed successfully\n", ""}); got != want {
		t.Errorf("got %+v", got)
	}
	if got := pluginhost(t.Context(), "", "call", "--nats", replica.NATS, "echo", "get_artist_url"); !strings.HasPrefix(got.err, "503 unavailable") {
		t.Errorf("a call is answered with %+v", got)
	}
	if n := count(); n != 1 {
		t.Errorf("%d values are cached, want 1: nobody asked for a purge", n)
	}
	got = pluginhost(t.Context(), "", "plugin", "remove", "echo", "--purge", "--plugins", folder, "--nats", replica.NATS)
	if want := (result{exitDone, "Plugin 'echo' is not in the plugins folder\nWhat it had cached is dropped\n", ""}); got != want {
		t.Errorf("got %+v", got)
	}
	if n := count(); n != 0 {
		t.Errorf("%d values are cached after a purge", n)
	}
	if got := pluginhost(t.Context(), "", "plugin", "remove", "echo", "--plugins", folder, "--nats", replica.NATS); got.code != exitFailure || !strings.Contains(got.err, "plugin not found: echo (path: ") {
		t.Errorf("once more: %+v", got)
	}
}

func TestRemoveWithPurgeInJSON(t *testing.T) {
	t.Parallel()
	folder := probeFolder(t)
	replica := serveProcess(t, folder, "--listen", "127.0.0.1:0")
	count := cached(t, replica.NATS)
	got := pluginhost(t.Context(), "", "plugin", "remove", "echo", "--purge", "--json", "--plugins", folder, "--nats", replica.NATS)
	var document removeDocument
	if err := json.Unmarshal([]byte(got.out), &document); err != nil || got.code != exitDone {
		t.Fatalf("%+v: %v", got, err)
	}
	if document.V != 1 || !document.Removed || !document.Purged || document.Symlink || len(document.Replicas) != 1 {
		t.Errorf("got %+v", document)
	}
	if n := count(); n != 0 {
		t.Errorf("%d values are cached", n)
	}
}

func TestRemoveWithoutAHostWorksAndSaysSo(t *testing.T) {
	t.Parallel()
	folder := probeFolder(t)
	const nowhere = "nats://127.0.0.1:1"
	got := pluginhost(t.Context(), "", "plugin", "remove", "echo", "--plugins", folder, "--nats", nowhere)
	if got.code != exitDone || !strings.Contains(got.out, "removed successfully\nNo replica has confirmed it: no NATS server at "+nowhere) {
		t.Errorf("got %+v", got)
	}
	if _, err := os.Stat(filepath.Join(folder, "echo")); !os.IsNotExist(err) {
		t.Errorf("it is still there: %v", err)
	}
	// A purge that was asked for and not made is a failure, and says what was done.
	got = pluginhost(t.Context(), "", "plugin", "remove", "probe", "--purge", "--plugins", folder, "--nats", nowhere)
	if got.code != exitFailure || !strings.Contains(got.err, "the plugin is removed, but what it has cached stays") {
		t.Errorf("got %+v", got)
	}
}

func TestRemoveOfALinkLeavesItsTarget(t *testing.T) {
	t.Parallel()
	folder, target := t.TempDir(), t.TempDir()
	addEcho(t, target)
	if err := os.Symlink(filepath.Join(target, "echo"), filepath.Join(folder, "dev")); err != nil {
		t.Fatal(err)
	}
	got := pluginhost(t.Context(), "", "plugin", "remove", "dev", "--plugins", folder, "--nats", "nats://127.0.0.1:1")
	if !strings.HasPrefix(got.out, "Development plugin symlink 'dev' removed successfully (target directory preserved)\n") {
		t.Errorf("got %+v", got)
	}
	if _, err := os.Stat(filepath.Join(target, "echo", "plugin.wasm")); err != nil {
		t.Error(err)
	}
}
