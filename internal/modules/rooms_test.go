package modules_test

import (
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// room is a row of the table in docs/architecture.md.
type room struct {
	folders []string // patterns of them, as in hostsvc/*
	imports []string // what else it may import: as the table has it
	any     bool     // it may import whatever there is
	free    bool     // each room may import it
}

// quoted is a name in a table.
var quoted = regexp.MustCompile("`([^`]+)`")

// unruled are the folders that no rule is for, with the reason, beside those of rooms that may import anything.
var unruled = map[string]string{
	".":     "a pattern would need the name of the checkout; the package has the licences and no more",
	"bench": "measures the rooms one by one, and nobody is given it",
}

// foreign are the packages of other houses that the table has, as it names them.
var foreign = map[string]string{
	"wazero":      "github.com/tetratelabs/wazero",
	"nats.go":     "github.com/nats-io/nats.go",
	"nats-server": "github.com/nats-io/nats-server/v2",
}

// rooms are the rows of the table.
func rooms(t *testing.T) (found []room) {
	t.Helper()
	_, table, _ := strings.Cut(string(read(t, "docs/architecture.md")), "\n| package | what is in it | may import |\n|---|---|---|\n")
	for row := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(row, "|\n"), " | ")
		if len(cells) != 3 {
			break
		}
		var r room
		for _, name := range quoted.FindAllStringSubmatch(cells[0], -1) {
			folder := name[1]
			if len(r.folders) > 0 && !strings.Contains(folder, "/") { // it lies beside the one before
				folder = path.Join(path.Dir(r.folders[0]), folder)
			}
			r.folders = append(r.folders, folder)
		}
		may := strings.TrimSpace(cells[2])
		r.any, r.free = may == "anybody", strings.HasSuffix(may, "anybody may import it")
		for _, name := range quoted.FindAllStringSubmatch(may, -1) {
			r.imports = append(r.imports, name[1])
		}
		for _, word := range strings.Split(may, ", ") {
			if _, known := foreign[word]; known {
				r.imports = append(r.imports, word)
			}
		}
		found = append(found, r)
	}
	if len(found) < 20 {
		t.Fatalf("the table has only %d rooms", len(found))
	}
	return found
}

// within is how much of a folder's path a pattern of folders names, 0 if the folder is not of it.
func within(pattern, folder string) int {
	above := strings.TrimSuffix(pattern, "/*")
	if folder != above && (above == "." || !strings.HasPrefix(folder, above+"/")) {
		return 0
	}
	return len(above)
}

// home returns the room of a folder, which is that of the longest pattern, and the pattern. It is nil if there is none.
func home(rooms []room, folder string) (in *room, pattern string) {
	longest := 0
	for i, r := range rooms {
		for _, p := range r.folders {
			if n := within(p, folder); n > longest {
				in, pattern, longest = &rooms[i], p, n
			}
		}
	}
	return in, pattern
}

// may tells whether the table lets a room import what it calls by one of these names.
func (r *room) may(names ...string) bool {
	return r.any || slices.ContainsFunc(names, func(name string) bool { return slices.Contains(r.imports, name) })
}

// allows tells whether the table lets what is in a folder import a package. It does not say if it does not have the package, or
// has it for anybody.
func allows(rooms []room, folder, imported string) (allowed, says bool) {
	from, own := home(rooms, folder)
	for name, path := range foreign {
		if path == imported {
			return from.may(name), true
		}
	}
	other, ours := strings.CutPrefix(imported+"/", root+"/")
	if !ours {
		return false, false
	}
	other = path.Clean(other)
	to, pattern := home(rooms, other)
	switch {
	case to == nil:
		return from.any, true
	case to.free || pattern == own:
		return false, false
	default:
		return from.may(other, pattern, path.Base(pattern)), true
	}
}

// What lint reports is what the table does not let a room import. Each folder is in a room, and has a rule.
func lintHoldsTheTable(t *testing.T, reported map[finding]bool) {
	denied := make(map[finding]bool)
	for arrow := range reported {
		arrow.rule = ""
		denied[arrow] = true
	}
	rooms, rules := rooms(t), slices.Collect(maps.Values(rules(t)))
	packages := slices.Concat(slices.Collect(maps.Values(universe(t)))...)
	for _, folder := range sources(t) {
		if top, _, _ := strings.Cut(folder, "/"); unruled[top] != "" {
			continue
		}
		in, _ := home(rooms, folder)
		if in == nil {
			t.Errorf("%s is in no room", folder)
			continue
		}
		file := path.Join(folder, importing[0])
		if !in.any && !slices.ContainsFunc(rules, func(r rule) bool { return r.covers(t, file) }) {
			t.Errorf("no rule is for %s", folder)
		}
		for _, imported := range packages {
			if allowed, says := allows(rooms, folder, imported); says && allowed == denied[finding{file: file, path: imported}] {
				t.Errorf("%s imports %s: allowed by the table: %t, by lint: %t", folder, imported, allowed, !allowed)
			}
		}
	}
}
