package modules_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/module"

	"github.com/pluginhost/pluginhost/testenv/guests"
)

// finding is an import that lint reports, or should.
type finding struct{ file, path, rule string }

// forbidden is how depguard says it.
var forbidden = regexp.MustCompile(`^import '(.*)' is not allowed from list '(.*?)'`)

// importing are the files in each folder of the linted tree: all that is in universe is imported in both.
var importing = []string{"arrows.go", "arrows_test.go"}

// sources are the folders of a package that is more than tests.
func sources(t *testing.T) (folders []string) {
	t.Helper()
	for _, file := range tracked(t, "*.go") {
		if folder := path.Dir(file); !strings.HasSuffix(file, "_test.go") && !slices.Contains(folders, folder) {
			folders = append(folders, folder)
		}
	}
	notice(t, folders)
	return folders
}

// notice makes the go command run the test anew, and not repeat what it said, if files come into folders or into one above.
func notice(t *testing.T, folders []string) {
	t.Helper()
	for _, folder := range folders {
		for ; ; folder = path.Dir(folder) {
			if _, err := os.Stat(filepath.Join(guests.Root(), filepath.FromSlash(folder))); err != nil {
				t.Fatal(err)
			}
			if folder == "." {
				break
			}
		}
	}
}

// universe are the packages that arrows could lead to, by the path of their module: those of the house, and one for each module
// that the root requires. Go itself guards packages that are internal to a room.
func universe(t *testing.T) map[string][]string {
	t.Helper()
	packages, mods := make(map[string][]string), tracked(t, "*go.mod")
	for _, folder := range sources(t) {
		within := path.Join(root, moduleOf(folder+"/.", mods))
		if _, known := folders()[within]; known && !strings.Contains(folder, "/internal/") {
			packages[within] = append(packages[within], path.Join(root, folder))
		}
	}
	for _, require := range parse(t, "go.mod").Require {
		if foreign := require.Mod.Path; !require.Indirect && !strings.HasPrefix(foreign, root) {
			packages[foreign] = append(packages[foreign], foreign)
		}
	}
	return packages
}

// write writes a file and the folders above it.
func write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// draw writes a tree with the modules and folders of the repository, and returns its folder and those of its modules. Each
// package there imports all of universe. That is empty packages of another tree, since what imports each other could not be
// loaded.
func draw(t *testing.T) (tree string, within []string) {
	t.Helper()
	dir := t.TempDir()
	tree = filepath.Join(dir, "tree")
	var requires, imports strings.Builder
	for path, packages := range universe(t) {
		stub := filepath.Join(dir, "stubs", filepath.FromSlash(path))
		write(t, filepath.Join(stub, "go.mod"), "module "+path+"\n")
		for _, name := range packages {
			write(t, filepath.Join(dir, "stubs", filepath.FromSlash(name), "stub.go"), "package stub\n")
			fmt.Fprintf(&imports, "import _ %q\n", name)
		}
		_, major, _ := module.SplitPathVersion(path)
		version := strings.TrimPrefix(major+".0.0", "/")
		if major == "" {
			version = "v0.0.0"
		}
		fmt.Fprintf(&requires, "require %s %s\nreplace %s => %q\n", path, version, path, stub)
	}
	folders, mods := sources(t), tracked(t, "*go.mod")
	for _, folder := range folders {
		for _, name := range importing {
			write(t, filepath.Join(tree, filepath.FromSlash(folder), name), "package arrows\n\n"+imports.String())
		}
		if folder = moduleOf(folder+"/.", mods); !slices.Contains(within, folder) {
			within = append(within, folder)
			write(t, filepath.Join(tree, filepath.FromSlash(folder), "go.mod"), "module "+path.Join(root, "tree", folder)+"\n\ngo 1.26.0\n\n"+requires.String())
		}
	}
	write(t, filepath.Join(tree, ".golangci.yml"), string(read(t, ".golangci.yml")))
	return tree, within
}

// lint returns what depguard, as .golangci.yml has it, finds in the tree that draw makes, where it is run in each module.
func lint(t *testing.T) map[finding]bool {
	t.Helper()
	tree, within := draw(t)
	linter := strings.TrimSpace(run(t, command(t, guests.Root(), nil, "go", "tool", "-modfile=tools/go.mod", "-n", "golangci-lint")))
	env := []string{"GOLANGCI_LINT_CACHE=" + t.TempDir(), "GOFLAGS=-mod=mod", "GOPROXY=off"}
	found := make(map[finding]bool)
	for _, folder := range within {
		said := run(t, command(t, filepath.Join(tree, filepath.FromSlash(folder)), env, linter, "run",
			"--config", filepath.Join(tree, ".golangci.yml"), "--enable-only", "depguard", "--allow-parallel-runners",
			"--max-issues-per-linter", "0", "--max-same-issues", "0", "--uniq-by-line=false", "--issues-exit-code", "0",
			"--output.json.path", "stdout", "--show-stats=false", "./..."))
		var report struct {
			Issues []struct {
				FromLinter, Text string
				Pos              struct{ Filename string }
			}
		}
		if err := json.NewDecoder(strings.NewReader(said)).Decode(&report); err != nil {
			t.Fatalf("%v: %s", err, said)
		}
		for _, issue := range report.Issues {
			parts := forbidden.FindStringSubmatch(issue.Text)
			if parts == nil {
				t.Fatalf("%s says in %s: %s", issue.FromLinter, issue.Pos.Filename, issue.Text)
			}
			file := filepath.ToSlash(issue.Pos.Filename) // below the configuration
			found[finding{file, parts[1], parts[2]}] = true
		}
	}
	return found
}
