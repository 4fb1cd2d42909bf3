package modules_test

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"

	"github.com/pluginhost/pluginhost/internal/author"
	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/testenv/guests"
)

// source is a file of the repository as package zip takes it.
type source struct{ path, file string }

func (s source) Path() string                 { return s.path }
func (s source) Lstat() (os.FileInfo, error)  { return os.Lstat(s.file) }
func (s source) Open() (io.ReadCloser, error) { return os.Open(s.file) }

// publish adds a module of the tree to a proxy, as its tag would have it.
func publish(t *testing.T, proxy, path, version string) {
	t.Helper()
	escaped, err := module.EscapePath(path)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(proxy, filepath.FromSlash(escaped), "@v")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	folder := folders()[path]
	below, err := filepath.Rel(guests.Root(), folder)
	if err != nil {
		t.Fatal(err)
	}
	var files []zip.File
	for _, name := range tracked(t, filepath.ToSlash(below)) {
		within, err := filepath.Rel(below, filepath.FromSlash(name))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, source{filepath.ToSlash(within), filepath.Join(guests.Root(), filepath.FromSlash(name))})
	}
	archive, err := os.Create(filepath.Join(dir, version+".zip"))
	if err != nil {
		t.Fatal(err)
	}
	if err := zip.Create(archive, module.Version{Path: path, Version: version}, files); err != nil {
		t.Fatal(err)
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	info, err := json.Marshal(map[string]any{"Version": version, "Time": time.Unix(0, 0).UTC()})
	if err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile(filepath.Join(folder, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"list": []byte(version + "\n"), version + ".info": info, version + ".mod": mod} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// released is the version that the root gets in tests.
const released = "v0.1.0"

// release publishes the modules of the tree, and returns the versions by path and the variables with which the go command finds
// them. It keeps modules in a folder of the test, so that nobody takes these for the released ones.
func release(t *testing.T) (versions map[string]string, env []string) {
	t.Helper()
	here, proxy := parse(t, "go.mod"), t.TempDir()
	versions = map[string]string{root: released, sdk: required(here, sdk), subjects: required(here, subjects)}
	for path, version := range versions {
		publish(t, proxy, path, version)
	}
	var settings struct{ GOMODCACHE, GOPROXY string }
	if err := json.Unmarshal([]byte(run(t, command(t, guests.Root(), nil, "go", "env", "-json", "GOMODCACHE", "GOPROXY"))), &settings); err != nil {
		t.Fatal(err)
	}
	fetched := filepath.Join(settings.GOMODCACHE, "cache", "download") // is laid out as a proxy
	return versions, []string{
		"GOPROXY=" + strings.Join([]string{fileURL(proxy), fileURL(fetched), settings.GOPROXY}, ","),
		"GOSUMDB=off", "GONOPROXY=none", "GOPRIVATE=", "GOMODCACHE=" + t.TempDir(), "GOFLAGS=-modcacherw",
	}
}

func fileURL(path string) string {
	return "file:///" + strings.TrimPrefix(filepath.ToSlash(path), "/")
}

// What a release of the tree gives to those who have no checkout.
func TestAReleaseOfTheTree(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program anew")
	}
	versions, env := release(t)

	t.Run("the program is installed", func(t *testing.T) {
		bin := t.TempDir()
		install := append(slices.Clone(env), "GOBIN="+bin, "CGO_ENABLED=0", "GOFLAGS=-modcacherw -trimpath")
		run(t, command(t, t.TempDir(), install, "go", "install", root+"/cmd/pluginhost@"+released))
		if got := run(t, command(t, bin, nil, filepath.Join(bin, "pluginhost"), "--version")); !strings.Contains(got, released) {
			t.Errorf("it says it is %q", got)
		}
	})
	t.Run("a program gets client", func(t *testing.T) {
		dir := t.TempDir()
		for name, content := range map[string]string{
			"go.mod":  "module example.com/caller\n\ngo 1.25.0\n",
			"main.go": "package main\n\nimport \"" + sdk + "/client\"\n\nfunc main() { client.New(nil) }\n",
		} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		run(t, command(t, dir, env, "go", "get", sdk+"/client@"+versions[sdk]))
		run(t, command(t, dir, env, "go", "build", "-trimpath", "-o", "caller", "."))
	})
	t.Run("a plugin is begun", func(t *testing.T) {
		for _, variable := range append(env, "GOWORK=off") {
			name, value, _ := strings.Cut(variable, "=")
			t.Setenv(name, value)
		}
		dir := filepath.Join(t.TempDir(), "hello")
		var said strings.Builder
		draft := author.Draft{Dir: dir, Name: "hello", Capabilities: []string{plugin.MetadataAgent}, Version: released}
		if err := author.New(t.Context(), draft, &said); err != nil {
			t.Fatalf("%v\n%s", err, said.String())
		}
		content, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err != nil {
			t.Fatal(err)
		}
		mod, err := modfile.Parse("go.mod", content, nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(mod.Replace) > 0 || required(mod, sdk) != versions[sdk] || required(mod, root) != released {
			t.Errorf("its go.mod is\n%s", content)
		}
	})
}
