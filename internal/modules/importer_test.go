package modules_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/semver"
)

// navidrome are the modules that Navidrome 0.58.5 requires, by path, and its version of Go under "go".
func navidrome(t *testing.T) map[string]string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", "navidrome-0.58.5.txt"))
	if err != nil {
		t.Fatal(err)
	}
	requires := make(map[string]string)
	for line := range strings.Lines(string(content)) {
		path, version, _ := strings.Cut(strings.TrimSpace(line), " ")
		requires[path] = version
	}
	return requires
}

// shared are packages of modules that Navidrome 0.58.5 requires, and the root or sdk, too: go mod tidy keeps what is imported.
func shared() []string {
	return []string{
		"github.com/dustin/go-humanize", "github.com/fsnotify/fsnotify", "github.com/gorilla/websocket", "github.com/pelletier/go-toml/v2",
		"github.com/robfig/cron/v3", "github.com/spf13/cobra", "github.com/spf13/pflag", "github.com/tetratelabs/wazero",
		"golang.org/x/crypto/nacl/box", "golang.org/x/mod/semver", "golang.org/x/net/html", "golang.org/x/sync/errgroup",
		"golang.org/x/sys/cpu", "golang.org/x/text/language", "golang.org/x/time/rate", "google.golang.org/protobuf/proto",
	}
}

// server makes a module that requires what Navidrome does, and imports packages.
func server(t *testing.T, requires map[string]string, packages ...string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	var mod, main strings.Builder
	fmt.Fprintf(&mod, "module example.com/musicserver\n\ngo %s\n\nreplace (\n", requires["go"])
	for _, path := range []string{sdk, subjects} {
		fmt.Fprintf(&mod, "\t%s => %q\n", path, folders()[path])
	}
	mod.WriteString(")\n\nrequire (\n")
	for _, path := range slices.Sorted(maps.Keys(requires)) {
		if path != "go" {
			fmt.Fprintf(&mod, "\t%s %s\n", path, requires[path])
		}
	}
	mod.WriteString(")\n")
	main.WriteString("package main\n\nimport (\n")
	for _, path := range packages {
		fmt.Fprintf(&main, "\t_ %q\n", path)
	}
	main.WriteString(")\n\nfunc main() {}\n")
	for name, content := range map[string]string{"go.mod": mod.String(), "main.go": main.String()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// selected are the versions of the modules that a module is built with.
func selected(t *testing.T, dir string) map[string]string {
	t.Helper()
	versions := make(map[string]string)
	list := command(t, dir, []string{"GOFLAGS=-mod=mod"}, "go", "list", "-m", "-f", "{{.Path}} {{if .Main}}go{{.GoVersion}}{{else}}{{.Version}}{{end}}", "all")
	for line := range strings.Lines(run(t, list)) {
		path, version, _ := strings.Cut(strings.TrimSpace(line), " ")
		if is, found := strings.CutPrefix(version, "go"); found {
			path, version = "go", is
		}
		versions[path] = version
	}
	return versions
}

// A music server takes client in beside what it has, and is built with the same of that as before.
func TestClientRaisesNothingOfNavidrome(t *testing.T) {
	if testing.Short() {
		t.Skip("asks a module proxy for what Navidrome requires")
	}
	t.Parallel()
	requires := navidrome(t)
	before := selected(t, server(t, requires))
	requires[sdk] = "v0.0.0"
	for name, test := range map[string]struct {
		packages []string
		tidy     bool
	}{
		"before it is tidied": {packages: []string{sdk + "/client"}},
		"tidied":              {packages: append([]string{sdk + "/client", "github.com/nats-io/nats.go"}, shared()...), tidy: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := server(t, requires, test.packages...)
			if test.tidy {
				run(t, command(t, dir, nil, "go", "mod", "tidy"))
			}
			after := selected(t, dir)
			for _, path := range append(slices.Sorted(maps.Keys(before)), "go") {
				is, there := after[path]
				if was := before[path]; there && semver.Compare(canonical(is), canonical(was)) > 0 {
					t.Errorf("%s is raised from %s to %s", path, was, is)
				}
			}
			for _, path := range test.packages[1:] {
				if !slices.ContainsFunc(slices.Collect(maps.Keys(after)), func(module string) bool { return strings.HasPrefix(path+"/", module+"/") }) {
					t.Errorf("%s is not compared", path)
				}
			}
			for _, path := range []string{"github.com/nats-io/nats-server/v2", root} {
				if version, found := after[path]; found {
					t.Errorf("it needs %s %s", path, version)
				}
			}
		})
	}
}

// canonical makes a version of Go one of a module.
func canonical(version string) string {
	if !strings.HasPrefix(version, "v") {
		version = "v" + version
	}
	return version
}
