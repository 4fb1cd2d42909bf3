package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
)

func TestNewSaysForMachinesWhatIsThere(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "hello")
	got := pluginhost(t.Context(), "", "plugin", "new", dir, "--sdk", guests.Root(), "--json")
	var is struct{ Name, Path, Package string }
	if err := json.Unmarshal([]byte(got.out), &is); err != nil || is.Name != "hello" || is.Path != dir || is.Package != filepath.Join(dir, "hello.ndp") {
		t.Errorf("got %+v, %v", got, err)
	}
}

// hello begins a plugin in a new folder.
func hello(t *testing.T, args ...string) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "hello")
	if got := pluginhost(t.Context(), "", append([]string{"plugin", "new", dir, "--sdk", guests.Root()}, args...)...); got.code != exitDone {
		t.Fatalf("got %+v", got)
	}
	return dir
}

func TestFromNothingToAnAnsweredCall(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	replica := serveProcess(t, folder, "--listen", "127.0.0.1:0")
	dir := hello(t)
	if got := pluginhost(t.Context(), "", "plugin", "build", dir); got.code != exitDone || !strings.HasPrefix(got.out, "hello 0.1.0: plugin.wasm has ") {
		t.Fatalf("build: %+v", got)
	}
	first, err := os.ReadFile(filepath.Join(dir, "hello.ndp"))
	if err != nil {
		t.Fatal(err)
	}
	// The same source elsewhere gives the same package.
	other := hello(t)
	if got := pluginhost(t.Context(), "", "plugin", "build", other, "--output", filepath.Join(other, "o.ndp"), "--json"); got.code != exitDone {
		t.Fatalf("build again: %+v", got)
	}
	if again, err := os.ReadFile(filepath.Join(other, "o.ndp")); err != nil || string(again) != string(first) {
		t.Errorf("it is another package: %v", err)
	}
	if got := pluginhost(t.Context(), "", "plugin", "install", filepath.Join(dir, "hello.ndp"), "--plugins", folder, "--nats", replica.NATS); got.code != exitDone {
		t.Fatalf("install: %+v", got)
	}
	got := pluginhost(t.Context(), "", "call", "hello", "get_artist_biography", `{"name":"Nina Simone"}`, "--nats", replica.NATS)
	if want := `{"biography":"Nina Simone makes music."}` + "\n"; got.out != want {
		t.Errorf("got %+v, want %s", got, want)
	}
}

func TestBuildSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	dir := hello(t)
	replace := func(file, old, by string) {
		t.Helper()
		path := filepath.Join(dir, file)
		content, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(content), old) {
			t.Fatalf("%s: %v", content, err)
		}
		if err := os.WriteFile(path, []byte(strings.Replace(string(content), old, by, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	build := func(says string) {
		t.Helper()
		if got := pluginhost(t.Context(), "", "plugin", "build", dir); got.code != exitFailure || !strings.Contains(got.err, says) {
			t.Errorf("got %+v, want %q", got, says)
		}
		if _, err := os.Stat(filepath.Join(dir, plugin.WasmName)); !os.IsNotExist(err) {
			t.Errorf("a module is there: %v", err)
		}
	}
	replace("agent.go", "return nil, api.ErrNotFound", "return nil, nowhere")
	build("undefined: nowhere")
	replace("agent.go", "return nil, nowhere", "return nil, api.ErrNotFound")
	replace("manifest.json", `"MetadataAgent"`, `"MetadataAgnet"`)
	build("MetadataAgnet")
	replace("manifest.json", `"MetadataAgnet"`, `"MetadataAgent"`)
	replace("agent.go", `"fmt"`, `"fmt"

	"github.com/pluginhost/pluginhost/sdk/api/host/config"`)
	replace("agent.go", "return nil, api.ErrNotFound", "_, err := config.NewConfigService().GetPluginConfig(nil, nil)\n\t\treturn nil, err")
	build(`the plugin would not load: it imports get_plugin_config: add "config" to the permissions`)
	if entries, err := filepath.Glob(filepath.Join(dir, ".*")); err != nil || len(entries) != 1 {
		t.Errorf("left: %v, %v", entries, err)
	}
}

// lines are what a command prints, one at a time.
type lines struct {
	t       *testing.T
	scanner *bufio.Scanner
}

// await returns the next line that has one of the texts.
func (l lines) await(texts ...string) string {
	l.t.Helper()
	var seen []string
	for l.scanner.Scan() {
		line := l.scanner.Text()
		seen = append(seen, line)
		if slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(line, text) }) {
			return line
		}
	}
	l.t.Fatalf("%q was not printed: %q", texts, seen)
	return ""
}

// watching runs plugin dev --watch on a folder until end, which fails the test where the command
// does not end well.
func watching(t *testing.T, dir, folder, nats string) (printed lines, end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	reader, writer := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"plugin", "dev", "--watch", dir, "--plugins", folder, "--nats", nats}, streams{strings.NewReader(""), writer, writer})
		_ = writer.Close()
	}()
	return lines{t, bufio.NewScanner(reader)}, func() {
		t.Helper()
		cancel()
		go func() { _, _ = io.Copy(io.Discard, reader) }()
		if code := <-ended; code != exitDone {
			t.Errorf("it ended with %d", code)
		}
	}
}

// scrobble calls the plugin hello.
func scrobble(t *testing.T, nats string) {
	t.Helper()
	got := pluginhost(t.Context(), "", "call", "hello", "scrobble", `{"username":"joe","track":{"name":"Sinnerman"}}`, "--nats", nats)
	if got.code != exitDone {
		t.Fatalf("got %+v", got)
	}
}

func TestDevWatchBuildsAndLoadsAtEverySave(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	replica := serveProcess(t, folder, "--listen", "127.0.0.1:0")
	dir := hello(t, "--capability", "Scrobbler")
	printed, end := watching(t, dir, folder, replica.NATS)
	save := func(old, by string) {
		t.Helper()
		path := filepath.Join(dir, "scrobbler.go")
		content, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(content), old) {
			t.Fatalf("%s: %v", content, err)
		}
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(content), old, by)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	printed.await("loaded by")
	if replica.Logged(`"ERROR"`) {
		t.Errorf("the host has tried to load what was not built:\n%s", replica.Log())
	}
	scrobble(t, replica.NATS)
	printed.await("hello | joe has listened to Sinnerman")
	save("has listened to", "loves")
	printed.await("loaded by")
	scrobble(t, replica.NATS)
	printed.await("hello | joe loves Sinnerman")
	save("loves", `lo"ves`)
	printed.await("Not built: see above")
	scrobble(t, replica.NATS) // the one before
	printed.await("hello | joe loves Sinnerman")
	save(`lo"ves`, "likes")
	printed.await("loaded by")
	scrobble(t, replica.NATS)
	printed.await("hello | joe likes Sinnerman")
	end()
	if entry := plugin.Load(folder, "hello"); !entry.Symlink || entry.Err != nil {
		t.Errorf("the link is %+v", entry)
	}
}

// A plugin that plans in OnInit without an id has one schedule, however often its author
// saves: what the version before has planned goes, and the limit does not count it.
func TestDevWatchLeavesOneScheduleAfterTwentySaves(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	file := filepath.Join(t.TempDir(), "host.toml")
	if err := os.WriteFile(file, []byte(testenv.SharedCache+"[Scheduler]\nMaxSchedules = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	replica := serveProcess(t, folder, "--listen", "127.0.0.1:0", "--config", file)
	dir := hello(t, "--capability", "SchedulerCallback,LifecycleManagement")
	path := filepath.Join(dir, "schedule.go")
	content, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(content), `ScheduleId: "hello", `) {
		t.Fatalf("%s: %v", content, err)
	}
	save := func(n int) {
		t.Helper()
		unnamed := strings.Replace(string(content), `ScheduleId: "hello", `, fmt.Sprintf("Payload: []byte(%q), ", fmt.Sprint("save ", n)), 1)
		if err := os.WriteFile(path, []byte(unnamed), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	save(0)
	printed, end := watching(t, dir, folder, replica.NATS)
	printed.await("loaded by")
	for n := range 20 {
		save(n + 1)
		printed.await("loaded by")
	}
	end()
	conn := testenv.Connect(t, replica.NATS)
	for timeout := time.After(time.Minute); ; {
		schedules, err := client.New(conn).Schedules(t.Context(), "hello")
		if err != nil {
			t.Fatal(err)
		}
		if len(schedules) == 1 && string(schedules[0].Payload) == "save 20" {
			return
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-timeout:
			t.Fatalf("there are %d schedules: %+v", len(schedules), schedules)
		}
	}
}

func TestDevLinksAFolder(t *testing.T) {
	t.Parallel()
	folder, first, second := t.TempDir(), hello(t), hello(t)
	dev := func(stdin, dir string) result {
		return pluginhost(t.Context(), stdin, "plugin", "dev", dir, "--plugins", folder, "--nats", nowhere)
	}
	if got := dev("", first); got.code != exitDone || !strings.Contains(got.out, "Development symlink created: '"+filepath.Join(folder, "hello")+"' -> '"+first+"'\nPlugin can be refreshed with: pluginhost plugin refresh hello\nNo host was told: ") {
		t.Errorf("got %+v", got)
	}
	if got := dev("", first); got.code != exitDone || !strings.HasPrefix(got.out, "Symlink already exists and points to the correct source\n") {
		t.Errorf("once more: %+v", got)
	}
	if got := dev("n\n", second); got.code != exitFailure || !strings.Contains(got.err, "Do you want to replace it? (y/N): operation canceled") {
		t.Errorf("another, with no: %+v", got)
	}
	if got := dev("y\n", second); got.code != exitDone {
		t.Errorf("another, with yes: %+v", got)
	}
	if target, err := os.Readlink(filepath.Join(folder, "hello")); err != nil || target != second {
		t.Errorf("the link goes to %s: %v", target, err)
	}
	if got := dev("", filepath.Join(first, "nowhere")); got.code != exitFailure || !strings.Contains(got.err, "source folder not found") {
		t.Errorf("a folder that is not there: %+v", got)
	}
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	addEcho(t, folder)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"plugin", "info", ""}, "echo\n"},
		{[]string{"plugin", "remove", ""}, "echo\n"},
		{[]string{"call", "echo", ""}, "get_artist_biography\n"},
		{[]string{"plugin", "install", ""}, "ndp\n:8\n"},
		{[]string{"plugin", "new", "x", "--capability", ""}, "Scrobbler\n"},
	} {
		args := append([]string{"__complete"}, c.args[:len(c.args)-1]...)
		if c.args[0] == "plugin" && c.args[1] != "new" {
			args = append(args, "--plugins", folder, "--nats", nowhere)
		}
		if got := pluginhost(t.Context(), "", append(args, "")...); got.code != exitDone || !strings.Contains(got.out, c.want) {
			t.Errorf("%v: got %+v, want %q", c.args, got, c.want)
		}
	}
}

func TestDevWatchBuildsWithoutAHost(t *testing.T) {
	t.Parallel()
	printed, end := watching(t, hello(t), t.TempDir(), nowhere)
	printed.await("but not loaded: no host is running")
	end()
}

func TestDevWatchOutlivesAHost(t *testing.T) {
	t.Parallel()
	folder, dir := t.TempDir(), hello(t, "--capability", "Scrobbler")
	replica := serveProcess(t, folder, "--listen", "127.0.0.1:0")
	printed, end := watching(t, dir, folder, replica.NATS)
	printed.await("loaded by " + replica.ReplicaID)
	replica.Signal(syscall.SIGKILL)
	replica.Wait()
	next := serveProcess(t, folder, "--listen", strings.TrimPrefix(replica.NATS, "nats://"))
	// It builds as soon as it is connected, and hears the plugin from then on.
	printed.await("loaded by "+next.ReplicaID, "but not loaded")
	scrobble(t, next.NATS)
	printed.await("hello | joe has listened to Sinnerman")
	end()
}

// The command is not on the path of the shell, as in a checkout.
func TestNewPrintsCommandsThatWork(t *testing.T) {
	work := t.TempDir()
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	t.Setenv("PLUGINHOST_NATS", nowhere)
	shell := func(line string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "sh", "-c", line)
		cmd.Dir = work
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
		return string(out)
	}
	ran := 0
	for line := range strings.Lines(shell(testenv.Binary(t) + " plugin new 'my hello' --sdk " + guests.Root())) {
		if line = strings.TrimSpace(line); strings.Contains(line, " plugin build ") || strings.Contains(line, " plugin install ") {
			shell(line)
			ran++
		}
	}
	if ran != 2 {
		t.Errorf("%d commands were printed, want one to build and one to install", ran)
	}
}
