package modules_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/modfile"

	"github.com/pluginhost/pluginhost/testenv/guests"
)

// The modules that other programs import, or install a program of.
const (
	root     = "github.com/pluginhost/pluginhost"
	sdk      = root + "/sdk"
	subjects = root + "/subjects"
)

// folders are those of the modules by path, below that of the repository.
func folders() map[string]string {
	return map[string]string{root: guests.Root(), sdk: filepath.Join(guests.Root(), "sdk"), subjects: filepath.Join(guests.Root(), "subjects")}
}

// command is a program that runs in a folder, with variables beside those of this process, which name no workspace.
func command(t *testing.T, dir string, env []string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Dir, cmd.Env = dir, append(append(os.Environ(), "GOWORK=off"), env...)
	return cmd
}

// run returns what a command writes to its standard output.
func run(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s%s", cmd.Args, err, out, said.String())
	}
	return string(out)
}

// tracked are the files of the repository that match a pattern.
func tracked(t *testing.T, pattern string) []string {
	t.Helper()
	if _, err := os.Stat(filepath.Join(guests.Root(), ".git")); err != nil {
		t.Skip("a copy without the history does not say which files belong to the repository")
	}
	names := run(t, command(t, guests.Root(), nil, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate", pattern))
	return slices.DeleteFunc(strings.Split(names, "\x00"), func(name string) bool {
		_, err := os.Lstat(filepath.Join(guests.Root(), filepath.FromSlash(name)))
		return name == "" || err != nil // one that is gone is still of the last commit
	})
}

// read returns the content of a file of the repository.
func read(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(guests.Root(), filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// parse parses a go.mod of the repository.
func parse(t *testing.T, name string) *modfile.File {
	t.Helper()
	file, err := modfile.Parse(name, read(t, name), nil)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// required is the version at which a module requires another one, empty if it does not.
func required(file *modfile.File, path string) string {
	for _, r := range file.Require {
		if r.Mod.Path == path {
			return r.Mod.Version
		}
	}
	return ""
}
