package author_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/internal/author"
	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/testenv/guests"
)

// begin begins a plugin in a new folder.
func begin(t *testing.T, capabilities ...string) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "hello")
	draft := author.Draft{Dir: dir, Name: "hello", Capabilities: capabilities, Checkout: guests.Root()}
	var output bytes.Buffer
	if err := author.New(t.Context(), draft, &output); err != nil {
		t.Fatalf("%v\n%s", err, &output)
	}
	return dir
}

// wantBuilt fails unless the plugin builds, and nothing is wrong with it.
func wantBuilt(t *testing.T, dir string) {
	t.Helper()
	var output bytes.Buffer
	built, err := author.Build(t.Context(), dir, &output, nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, &output)
	}
	if len(built.Warnings) > 0 {
		t.Errorf("warnings: %q", built.Warnings)
	}
	if info, err := os.Stat(filepath.Join(dir, plugin.WasmName)); err != nil || int(info.Size()) != built.Wasm {
		t.Errorf("the module is %v, %v", info, err)
	}
}

func TestANewPluginOfEachCapabilityBuilds(t *testing.T) {
	t.Parallel()
	for _, capability := range author.Capabilities() {
		t.Run(capability, func(t *testing.T) {
			dir := begin(t, capability)
			wantBuilt(t, dir)
			manifest, _, err := plugin.ReadManifest(dir)
			if err != nil || !manifest.Has(capability) {
				t.Errorf("the manifest is %+v, %v", manifest, err)
			}
		})
	}
}

func TestANewPluginOfAllCapabilitiesBuildsAndItsTestsPass(t *testing.T) {
	t.Parallel()
	dir := begin(t, author.Capabilities()...)
	wantBuilt(t, dir)
	for _, args := range [][]string{{"vet", "./..."}, {"test", "-v", "./..."}} {
		command := exec.CommandContext(t.Context(), "go", args...)
		command.Dir = dir
		output, err := command.CombinedOutput()
		if err != nil {
			t.Fatalf("go %v: %v\n%s", args, err, output)
		}
		if args[0] == "vet" {
			continue
		}
		for _, test := range []string{"TestArtistsHaveABiography", "TestPlaysAreTold", "TestHelloIsSaidEveryHour", "TestTheFeedIsHeard", "TestItStarts"} {
			if !strings.Contains(string(output), "--- PASS: "+test) {
				t.Errorf("%s has not run:\n%s", test, output)
			}
		}
	}
}

func TestTheTestsOfANewPluginSeeWhenItIsWrong(t *testing.T) {
	t.Parallel()
	dir := begin(t, author.Capabilities()...)
	for file, change := range map[string][2]string{
		"agent.go":     {"%s makes music.", "%s is silent."},
		"scrobbler.go": {"%s has listened to %s", "%s has heard %s"},
		"schedule.go":  {"@hourly", "@daily"},
		"feed.go":      {"the feed says %s", "the feed is %s"},
	} {
		content, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil || !strings.Contains(string(content), change[0]) {
			t.Fatalf("%s: %v", content, err)
		}
		if err := os.WriteFile(filepath.Join(dir, file), []byte(strings.ReplaceAll(string(content), change[0], change[1])), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	command := exec.CommandContext(t.Context(), "go", "test", "./...")
	command.Dir = dir
	output, err := command.CombinedOutput()
	var failed *exec.ExitError
	if !errors.As(err, &failed) {
		t.Fatalf("got %v\n%s", err, output)
	}
	for _, test := range []string{"TestArtistsHaveABiography", "TestPlaysAreTold", "TestHelloIsSaidEveryHour", "TestTheFeedIsHeard"} {
		if !strings.Contains(string(output), "--- FAIL: "+test) {
			t.Errorf("%s does not fail:\n%s", test, output)
		}
	}
}

func TestWhatIsNoPluginIsNotBegun(t *testing.T) {
	t.Parallel()
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "notes"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	good := author.Draft{Name: "hello", Capabilities: []string{plugin.MetadataAgent}, Checkout: guests.Root()}
	for name, test := range map[string]struct {
		change func(*author.Draft)
		want   error
		text   string
	}{
		"a folder that is not empty":   {func(d *author.Draft) { d.Dir = full }, author.ErrNotEmpty, full},
		"a name that is no id":         {func(d *author.Draft) { d.Name = "../hello" }, nil, "hello"},
		"no name":                      {func(d *author.Draft) { d.Name = "" }, nil, ""},
		"an unknown capability":        {func(d *author.Draft) { d.Capabilities = []string{"Teleport"} }, nil, `unknown capability "Teleport": there are MetadataAgent`},
		"no capability":                {func(d *author.Draft) { d.Capabilities = nil }, nil, "needs a capability"},
		"no SDK":                       {func(d *author.Draft) { d.Checkout = "" }, author.ErrNoSDK, ""},
		"an SDK that is none":          {func(d *author.Draft) { d.Checkout = full }, nil, "is no checkout of " + author.SDK},
		"a module path that cannot be": {func(d *author.Draft) { d.Module = "exa mple/hello" }, nil, "module path"},
	} {
		t.Run(name, func(t *testing.T) {
			draft := good
			draft.Dir = filepath.Join(t.TempDir(), "hello")
			test.change(&draft)
			err := author.New(t.Context(), draft, io.Discard)
			if err == nil || test.want != nil && !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.text) {
				t.Errorf("got %v, want %q", err, test.text)
			}
			if entries, _ := os.ReadDir(draft.Dir); len(entries) > 0 && draft.Dir != full {
				t.Errorf("written were %v", entries)
			}
		})
	}
	if entries, err := os.ReadDir(full); err != nil || len(entries) != 1 {
		t.Errorf("the folder has %v, %v", entries, err)
	}
}

func TestABuildRemovesWhatAKilledOneLeft(t *testing.T) {
	t.Parallel()
	dir := begin(t, plugin.MetadataAgent)
	const old, young = ".plugin-1.wasm", ".plugin-2.wasm"
	for name, age := range map[string]time.Duration{old: 2 * time.Hour, young: 0} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if at := time.Now().Add(-age); os.Chtimes(path, at, at) != nil {
			t.Fatal("its time cannot be set")
		}
	}
	wantBuilt(t, dir)
	left, err := filepath.Glob(filepath.Join(dir, ".plugin-*"))
	if err != nil || len(left) != 1 || filepath.Base(left[0]) != young { // another build may go on
		t.Errorf("left are %v, %v", left, err)
	}
}

func TestABuildThatFailsLeavesTheModuleBefore(t *testing.T) {
	t.Parallel()
	dir := begin(t, plugin.MetadataAgent)
	wantBuilt(t, dir)
	before, err := os.ReadFile(filepath.Join(dir, plugin.WasmName))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "wrong.go"), []byte("package main\n\nvar x = nothing\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var output bytes.Buffer
	if _, err := author.Build(t.Context(), dir, &output, nil); !errors.Is(err, author.ErrCompiler) || !strings.Contains(output.String(), "undefined: nothing") {
		t.Errorf("got %v\n%s", err, &output)
	}
	after, err := os.ReadFile(filepath.Join(dir, plugin.WasmName))
	if err != nil || !bytes.Equal(after, before) {
		t.Errorf("it is another: %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".plugin-*")); err != nil || len(left) > 0 {
		t.Errorf("left are %v, %v", left, err)
	}
}

func TestAPluginIsBuiltByARelativePath(t *testing.T) {
	dir := begin(t, plugin.MetadataAgent)
	t.Chdir(filepath.Dir(dir))
	wantBuilt(t, filepath.Base(dir))
}

// The workspace of a checkout has its own modules, and plugins are begun beside them.
func TestAPluginInACheckoutIsBuilt(t *testing.T) {
	t.Parallel()
	checkout := t.TempDir()
	for name, content := range map[string]string{"go.mod": "module " + author.SDK + "\n", "go.work": "go 1.26.0\n\nuse .\n"} {
		if err := os.WriteFile(filepath.Join(checkout, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(checkout, "hello")
	draft := author.Draft{Dir: dir, Name: "hello", Capabilities: []string{plugin.MetadataAgent}, Checkout: guests.Root()}
	if err := author.New(t.Context(), draft, io.Discard); err != nil {
		t.Fatal(err)
	}
	wantBuilt(t, dir)
}

func TestIsRelease(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]bool{
		"v1.2.3": true, "v1.2.3-rc.1": true,
		"(devel)": false, "": false, "v1.2.3+dirty": false, // built in a checkout
		"v0.0.0-20261123083509-4a20588a5072": false, "v1.2.4-0.20261123083509-4a20588a5072": false,
	} {
		if got := author.IsRelease(version); got != want {
			t.Errorf("%q: %t", version, got)
		}
	}
}
