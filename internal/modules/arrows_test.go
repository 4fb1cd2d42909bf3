package modules_test

import (
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
)

func TestLint(t *testing.T) {
	t.Parallel()
	reported := lint(t)
	t.Run("reports what a rule denies", func(t *testing.T) { lintReportsWhatARuleDenies(t, maps.Clone(reported)) })
	t.Run("holds the table", func(t *testing.T) { lintHoldsTheTable(t, reported) })
}

// Each import that a rule denies is reported in each file that the rule is for, in its module, and no other import is.
func lintReportsWhatARuleDenies(t *testing.T, found map[finding]bool) {
	packages := slices.Concat(slices.Collect(maps.Values(universe(t)))...)
	for name, r := range rules(t) {
		held := 0
		for _, folder := range sources(t) {
			for _, file := range importing {
				file = path.Join(folder, file)
				covered := r.covers(t, file)
				for _, imported := range packages {
					arrow := finding{file, imported, name}
					denied := covered && r.denies(imported)
					if found[arrow] != denied {
						t.Errorf("%s: rule %s: import of %s is reported: %t, want %t", file, name, imported, found[arrow], denied)
					}
					if denied {
						held++
					}
					delete(found, arrow)
				}
			}
		}
		if held == 0 {
			t.Errorf("rule %s holds no arrow", name)
		}
	}
	for other := range found {
		t.Errorf("lint reports also %+v", other)
	}
}

// What a rule names is in the repository: a folder that moves takes its rule along.
func TestRulesNameWhatThereIs(t *testing.T) {
	t.Parallel()
	files, known := tracked(t, "*.go"), slices.Concat(slices.Collect(maps.Values(universe(t)))...)
	for _, folder := range sources(t) {
		known = append(known, path.Join(root, folder)) // also of modules that nobody imports
	}
	for name, r := range rules(t) {
		for _, pattern := range r.Files {
			without, negated := strings.CutPrefix(pattern, "!")
			if without == "$test" {
				continue // a folder can be without tests
			}
			others := rule{Files: slices.DeleteFunc(slices.Clone(r.Files), func(other string) bool { return other == pattern })}
			if !slices.ContainsFunc(files, func(file string) bool {
				return matches(t, without, file) && (!negated || others.covers(t, file))
			}) {
				t.Errorf("rule %s: no file is for %s", name, pattern)
			}
		}
		for _, entry := range slices.Concat(r.Allow, r.denied()) {
			if !slices.ContainsFunc(known, func(path string) bool { return length(entry, path) > 0 }) {
				t.Errorf("rule %s: no package is for %s", name, entry)
			}
		}
	}
}
