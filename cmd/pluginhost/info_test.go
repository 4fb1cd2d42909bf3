package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
)

// What a plugin may do is told where its files are not, too.
func TestInfoTellsAddressesWithoutThePluginsFolder(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	permissions := map[string]any{"http": map[string]any{"reason": "to ask", "allowedUrls": map[string]any{"https://a.example/*": []string{"GET"}}}}
	testenv.AddPlugin(t, folder, "echo", testenv.Manifest(permissions, "MetadataAgent"), guests.Handmade{Body: guests.Echo}.Bytes())
	replica := serveProcess(t, folder, "--listen", "127.0.0.1:0")
	for _, plugins := range []string{folder, t.TempDir()} {
		got := pluginhost(t.Context(), "", "plugin", "info", "echo", "--nats", replica.NATS, "--plugins", plugins)
		for _, want := range []string{"https://a.example/*", "GET", "to ask"} {
			if got.code != exitDone || !strings.Contains(got.out, want) {
				t.Errorf("with the folder %s %q is missing: %+v", plugins, want, got)
			}
		}
	}
}

func TestInfoShowsTheFirstLinesOfTheReadme(t *testing.T) {
	t.Parallel()
	dir := hello(t)
	if err := os.WriteFile(filepath.Join(dir, "README.md"), []byte("# hello\n\nSettings: `key`\x1b[2J.\n"+strings.Repeat("more\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := pluginhost(t.Context(), "", "plugin", "build", dir); got.code != exitDone {
		t.Fatalf("%+v", got)
	}
	folder := t.TempDir()
	if got := pluginhost(t.Context(), "", "plugin", "install", filepath.Join(dir, "hello.ndp"), "--plugins", folder, "--nats", nowhere); got.code != exitDone {
		t.Fatalf("%+v", got)
	}
	for _, of := range []string{filepath.Join(dir, "hello.ndp"), "hello"} {
		got := pluginhost(t.Context(), "", "plugin", "info", of, "--plugins", folder, "--nats", nowhere)
		if got.code != exitDone || !strings.Contains(got.out, "From its README:\n  # hello\n  Settings: `key`\uFFFD[2J.\n  more\n") || strings.Count(got.out, "  more\n") != maxReadmeLines-2 {
			t.Errorf("of %s: %+v", of, got)
		}
	}
}

func TestAnswersToUnusualIdsAndTimeouts(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	install := func(as string) result {
		return pluginhost(t.Context(), "", "plugin", "install", echoPackage(t, "1.0.0", nil, 0), "--as", as, "--plugins", folder, "--nats", nowhere)
	}
	if got := install("a b"); got.code != exitDone || !strings.Contains(got.out, `Its id is "a b": on NATS it is called at plugins.a=20b.<method>, and its settings are [PluginConfig."a b"]`) {
		t.Errorf("with a space: %+v", got)
	}
	if got := install(" a"); got.code == exitDone || !strings.Contains(got.err, "begins or ends with a space") {
		t.Errorf("with a space in front: %+v", got)
	}
	if got := install("plain"); strings.Contains(got.out, "Its id is") {
		t.Errorf("without: %+v", got)
	}
	replica := serveProcess(t, folder, "--listen", "127.0.0.1:0")
	got := pluginhost(t.Context(), "", "call", "a b", "get_artist_url", `{"id":"hello"}`, "--timeout", "5h", "--nats", replica.NATS)
	if got.code != exitDone || !strings.Contains(got.out, "hello") || !strings.Contains(got.err, "--timeout 5h0m0s is more than [Runtime] MaxTimeout, 1m0s") {
		t.Errorf("a long timeout: %+v", got)
	}
}
