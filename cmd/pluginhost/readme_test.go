package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
)

// block returns the first fenced block of a language behind a text of a document.
func block(t *testing.T, document, after, language string) string {
	t.Helper()
	_, rest, found := strings.Cut(string(read(t, document)), after)
	_, rest, fenced := strings.Cut(rest, "```"+language+"\n")
	text, _, closed := strings.Cut(rest, "```")
	if !found || !fenced || !closed {
		t.Fatalf("%s has no %s block behind %q", document, language, after)
	}
	return text
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(guests.Root(), name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// minimal runs a replica with the plugin that the README calls.
func minimal(t *testing.T) *testenv.Process {
	t.Helper()
	wasm, err := os.ReadFile(guests.Compile(t, filepath.Join(guests.Root(), "examples", "minimal")))
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	testenv.AddPlugin(t, folder, "minimal", read(t, "examples/minimal/manifest.json"), wasm)
	return serveProcess(t, folder, "--listen", "127.0.0.1:0")
}

func TestGoProgramOfTheProtocol(t *testing.T) {
	t.Parallel()
	program := strings.Replace(block(t, "docs/protocol.md", "### From Go", "go"), "nats://127.0.0.1:4222", minimal(t).NATS, 1)
	file := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(file, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "run", file)
	cmd.Dir = guests.Root() // for its imports
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "https://musicbrainz.org/artist/5b11f4ce") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestShellCallOfTheReadme(t *testing.T) {
	t.Parallel()
	words := strings.Fields(strings.ReplaceAll(block(t, "README.md", "While `make run` is running", "sh"), "'", ""))
	got := pluginhost(t.Context(), "", append(words[1:], "--nats", minimal(t).NATS)...)
	if want := block(t, "README.md", "While `make run` is running", "json"); strings.ReplaceAll(got.out, `": "`, `":"`) != want {
		t.Errorf("the README says %s, the call says %+v", want, got)
	}
}

func TestFourCommandsOfTheReadme(t *testing.T) {
	folder := t.TempDir()
	replica := serveProcess(t, folder, "--listen", "127.0.0.1:0")
	t.Chdir(guests.Root())
	const after = "## Write a plugin"
	hello := filepath.Join(t.TempDir(), "hello")
	var got result
	for line := range strings.Lines(block(t, "README.md", after, "sh")) {
		line, _, _ = strings.Cut(line, "#")
		line = strings.NewReplacer("../hello", hello, "dist/plugins", folder).Replace(line)
		command, request, _ := strings.Cut(line, "'")
		args := strings.Fields(command)[1:]
		if request, _, quoted := strings.Cut(request, "'"); quoted {
			args = append(args, request)
		}
		if args[0] == "call" || args[1] == "install" {
			args = append(args, "--nats", replica.NATS)
		}
		if got = pluginhost(t.Context(), "", args...); got.code != exitDone {
			t.Fatalf("%v: %+v", args, got)
		}
	}
	if want := block(t, "README.md", after, "json"); got.out != want {
		t.Errorf("the README says %s, the call says %+v", want, got)
	}
}
