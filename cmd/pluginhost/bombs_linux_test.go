package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/internal/author"
	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
)

// bombFolder is a plugins folder with bombs, two for each worker.
func bombFolder(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	for seed := range uint64(4) {
		testenv.AddPlugin(t, folder, fmt.Sprintf("a-bomb-%d", seed), testenv.Manifest(nil, "MetadataAgent"), guests.Bomb(seed))
	}
	return folder
}

// serveBombs runs a replica of a folder with settings of [Runtime], and data that no other test
// shares. It may not be ready.
func serveBombs(t *testing.T, folder, data, settings string) (p *testenv.Process, url string) {
	t.Helper()
	url = testenv.NATS(t)
	return testenv.LaunchBinary(t, testenv.Binary(t), "--nats", url, "--plugins", folder, "--data", data, "--http", "",
		"--config", configFileOf(t, settings)), url
}

func configFileOf(t *testing.T, settings string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "pluginhost.toml")
	if err := os.WriteFile(file, []byte("[Runtime]\n"+settings), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// within waits until something holds.
func within(t *testing.T, p *testenv.Process, what string, holds func() bool) {
	t.Helper()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	timeout := time.After(2 * time.Minute)
	for !holds() {
		select {
		case <-ticker.C:
		case <-timeout:
			t.Fatalf("never: %s\n%s", what, p.Log())
		}
	}
}

// children are the processes that a process has started and that still run.
func children(t *testing.T, pid int) (all []int) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range stats {
		content, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		// Behind the name, in parentheses, are its state and its parent.
		fields := strings.Fields(string(content[bytes.LastIndexByte(content, ')')+1:]))
		if fields[1] == strconv.Itoa(pid) && fields[0] != "Z" {
			child, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, child)
		}
	}
	return all
}

func runs(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

func TestGoodPluginAnswersWhileBombsAreBeingCompiled(t *testing.T) {
	t.Parallel()
	folder := bombFolder(t)
	p, url := serveBombs(t, folder, t.TempDir(), "CompileTimeout = \"10m\"\nCompileMemory = \"512MB\"\n")
	within(t, p, "all workers have a bomb", func() bool { return len(children(t, p.PID())) == 2 })
	addEcho(t, folder)
	if got := pluginhost(t.Context(), "", "plugin", "refresh", "echo", "--nats", url); got.code != 0 {
		t.Fatalf("the good plugin is not loaded: %s%s\n%s", got.out, got.err, p.Log())
	}
	if got := pluginhost(t.Context(), "", "call", "echo", "get_artist_url", `{"id":"x"}`, "--nats", url); got.code != 0 {
		t.Errorf("the good plugin does not answer: %s", got.err)
	}
	var document statusDocument
	shown := pluginhost(t.Context(), "", "status", "--json", "--nats", url)
	if err := json.Unmarshal([]byte(shown.out), &document); err != nil || len(document.Replicas) != 1 {
		t.Fatalf("status: %v\n%s%s", err, shown.out, shown.err)
	}
	progress := 0
	for _, of := range document.Replicas[0].Plugins {
		if of.State == subjects.StateInitialising && (strings.HasPrefix(of.Progress, "compiling for ") || strings.HasPrefix(of.Progress, "waits to be compiled, behind ")) {
			progress++
		}
	}
	if progress == 0 {
		t.Errorf("status does not tell of a plugin that is being compiled: %s", shown.out)
	}
	if text := pluginhost(t.Context(), "", "status", "--nats", url).out; !strings.Contains(text, "compiling for ") {
		t.Errorf("status does not show how long one has been compiled:\n%s", text)
	}
	within(t, p, "two bombs are being compiled", func() bool { return len(children(t, p.PID())) == 2 })
	compiling := children(t, p.PID())
	p.Signal(syscall.SIGTERM)
	if code := p.Wait(); code != 0 {
		t.Errorf("it ends with %d, want 0\n%s", code, p.Log())
	}
	for _, pid := range compiling {
		if runs(pid) {
			t.Errorf("process %d still compiles", pid)
		}
	}
}

func TestBombsAreTriedBehindAllOthersAfterARestart(t *testing.T) {
	t.Parallel()
	folder, data, settings := bombFolder(t), t.TempDir(), "CompileTimeout = \"2s\"\nCompileMemory = \"128MiB\"\n"
	addEcho(t, folder)
	first, _ := serveBombs(t, folder, data, settings)
	first.WaitReady()
	for seed := range 4 {
		if !first.Logged("plugin failed to load", fmt.Sprintf("a-bomb-%d", seed), "raise it, or build a smaller module") {
			t.Errorf("bomb %d has not failed at a limit\n%s", seed, first.Log())
		}
	}
	first.Signal(syscall.SIGTERM)
	first.Wait()

	second, url := serveBombs(t, folder, data, settings)
	second.WaitReady()
	for seed := range 4 {
		if !second.Logged("plugin failed to load", fmt.Sprintf("a-bomb-%d", seed), "failed before within the same limits") {
			t.Errorf("bomb %d has held up the start\n%s", seed, second.Log())
		}
	}
	if got := pluginhost(t.Context(), "", "call", "echo", "get_artist_url", `{"id":"x"}`, "--nats", url); got.code != 0 {
		t.Errorf("the good plugin does not answer: %s", got.err)
	}
	within(t, second, "bombs are tried again", func() bool { return len(children(t, second.PID())) > 0 })
	compiling := children(t, second.PID())
	second.Signal(syscall.SIGKILL)
	second.Wait()
	for _, pid := range compiling {
		within(t, second, "what compiles has ended with the replica", func() bool { return !runs(pid) })
	}
}

// command runs the program itself, which compiles in processes of their own.
func command(t *testing.T, settings string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, testenv.Binary(t), args...)
	cmd.Env = append(os.Environ(), "PLUGINHOST_CONFIG="+configFileOf(t, settings), "XDG_CACHE_HOME="+t.TempDir())
	var out, err strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &err
	_ = cmd.Run() // what it ends with is below
	return result{cmd.ProcessState.ExitCode(), out.String(), err.String()}
}

func TestBombIsNeitherBuiltNorInstalled(t *testing.T) {
	t.Parallel()
	const settings = "CompileTimeout = \"2s\"\nCompileMemory = \"128MiB\"\n"
	source, plugins := t.TempDir(), t.TempDir()
	testenv.AddPlugin(t, source, "bomb", testenv.Manifest(nil, "MetadataAgent"), guests.Bomb(0)) // which packs little enough for a package
	path := filepath.Join(t.TempDir(), "bomb"+plugin.PackageExt)
	if _, err := author.Package(t.Context(), filepath.Join(source, "bomb"), path); err != nil {
		t.Fatal(err)
	}
	good := filepath.Join(t.TempDir(), "good"+plugin.PackageExt)
	testenv.AddPlugin(t, source, "good", testenv.Manifest(nil, "MetadataAgent"), guests.Handmade{}.Bytes())
	if got := command(t, settings, "plugin", "build", filepath.Join(source, "good"), "--output", good); got.code != 0 {
		t.Fatalf("a good plugin is not built: %s", got.err)
	}
	nats := testenv.NATS(t)
	for name, args := range map[string][]string{
		"build":   {"build", filepath.Join(source, "bomb"), "--output", filepath.Join(t.TempDir(), "x.ndp")},
		"install": {"install", path, "--as", "bomb", "--plugins", plugins, "--nats", nats},
	} {
		t.Run(name, func(t *testing.T) {
			got := command(t, settings, append([]string{"plugin"}, args...)...)
			if got.code != exitFailure || !strings.Contains(got.err, "would not load") || !strings.Contains(got.err, "[Runtime] Compile") {
				t.Errorf("it ends with %d: %s%s, want that the plugin would not load and the setting", got.code, got.out, got.err)
			}
		})
	}
	if entries, err := os.ReadDir(plugins); err != nil || len(entries) > 0 {
		t.Errorf("the plugins folder has %v (%v), want nothing", entries, err)
	}
	if got := command(t, settings, "plugin", "install", good, "--as", "good", "--plugins", plugins, "--nats", nats); got.code != 0 {
		t.Errorf("a good plugin is not installed: %s", got.err)
	}
}
