package modules_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// rule is a list of depguard in .golangci.yml.
type rule struct {
	Mode  string   `yaml:"list-mode"`
	Files []string `yaml:"files"`
	Allow []string `yaml:"allow"`
	Deny  []struct {
		Package string `yaml:"pkg"`
	} `yaml:"deny"`
}

// rules are those of .golangci.yml by name.
func rules(t *testing.T) map[string]rule {
	t.Helper()
	var config struct {
		Linters struct {
			Settings struct {
				Depguard struct {
					Rules map[string]rule `yaml:"rules"`
				} `yaml:"depguard"`
			} `yaml:"settings"`
		} `yaml:"linters"`
	}
	if err := yaml.Unmarshal(read(t, ".golangci.yml"), &config); err != nil {
		t.Fatal(err)
	}
	found := config.Linters.Settings.Depguard.Rules
	if len(found) == 0 {
		t.Fatal("there is no rule")
	}
	for name, r := range found {
		if r.Mode != "lax" {
			t.Errorf("%s is not lax, which is the mode that the tests know", name)
		}
	}
	return found
}

// globs is how depguard reads a pattern of files.
var globs = strings.NewReplacer(`\*\*`, `.*`, `\*`, `[^/]*`)

// matches tells whether a pattern of files, without its exclamation mark, is of a file.
func matches(t *testing.T, pattern, file string) bool {
	t.Helper()
	if pattern == "$test" {
		return strings.HasSuffix(file, "_test.go")
	}
	matched, err := regexp.MatchString("^"+globs.Replace(regexp.QuoteMeta(pattern))+"$", "/"+file)
	if err != nil {
		t.Fatal(err)
	}
	return matched
}

// covers tells whether a rule is for a file.
func (r rule) covers(t *testing.T, file string) bool {
	t.Helper()
	covered := false
	for _, pattern := range r.Files {
		without, negated := strings.CutPrefix(pattern, "!")
		switch {
		case !matches(t, without, file):
		case negated:
			return false
		default:
			covered = true
		}
	}
	return covered
}

// denies tells whether an import breaks a rule: a longer entry goes before a shorter one.
func (r rule) denies(path string) bool {
	allowed := 0
	for _, entry := range r.Allow {
		allowed = max(allowed, length(entry, path))
	}
	return slices.ContainsFunc(r.denied(), func(entry string) bool { return length(entry, path) > allowed })
}

// denied are the entries of what a rule denies.
func (r rule) denied() (entries []string) {
	for _, deny := range r.Deny {
		entries = append(entries, deny.Package)
	}
	return entries
}

// length is that of an entry that is of a package, else 0. An entry with a dollar is of that package alone, others are of all
// that begin so.
func length(entry, path string) int {
	if exact, found := strings.CutSuffix(entry, "$"); found && exact != path || !found && !strings.HasPrefix(path, entry) {
		return 0
	}
	return len(entry)
}
