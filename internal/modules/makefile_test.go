package modules_test

import (
	"path"
	"strings"
	"testing"

	"github.com/pluginhost/pluginhost/testenv/guests"
)

// visits tells whether what make would run for a target enters the folder of a module.
func visits(commands, folder string) bool {
	for line := range strings.Lines(commands) {
		inside, isInside := strings.CutPrefix(line, "cd ")
		into, _, _ := strings.Cut(inside, " ")
		if folder == "." && !isInside && strings.Contains(line, "./...") || isInside && path.Clean(into) == folder {
			return true
		}
	}
	return false
}

func TestMakeVisitsEveryModule(t *testing.T) {
	commands := make(map[string]string)
	for _, target := range []string{"test", "test-all", "lint", "tidy", "generate"} {
		commands[target] = run(t, command(t, guests.Root(), nil, "make", "-n", target))
	}
	found := tracked(t, "*go.mod")
	if len(found) < 5 {
		t.Errorf("found are only %q", found)
	}
	for _, file := range found {
		folder := path.Dir(file)
		if folder != "." && !visits(commands["tidy"], folder) {
			t.Errorf("make tidy does not enter %s", folder)
		}
		var sources []string
		for _, source := range tracked(t, "*.go") {
			if folder == moduleOf(source, found) {
				sources = append(sources, source)
			}
		}
		if len(sources) == 0 {
			continue // it only names tools
		}
		for _, target := range []string{"test", "test-all", "lint"} {
			if !visits(commands[target], folder) {
				t.Errorf("make %s does not enter %s", target, folder)
			}
		}
		for _, source := range sources {
			if folder != "." && strings.Contains("\n"+string(read(t, source)), "\n//go:generate ") && !visits(commands["generate"], folder) {
				t.Errorf("make generate does not enter %s, where %s is", folder, source)
			}
		}
	}
	gate := string(read(t, ".ci/run"))
	for _, target := range []string{"make test-all\n", "make lint\n"} {
		if !strings.Contains(gate, target) {
			t.Errorf(".ci/run has no %q", target)
		}
	}
}

// moduleOf is the folder of the module that a file belongs to.
func moduleOf(file string, modules []string) (folder string) {
	for folder = path.Dir(file); folder != "."; folder = path.Dir(folder) {
		for _, module := range modules {
			if path.Dir(module) == folder {
				return folder
			}
		}
	}
	return folder
}
