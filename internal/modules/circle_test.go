package modules_test

import (
	"go/parser"
	"go/token"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// arrows are what each node of a graph leads to.
type arrows map[string]map[string]bool

// circle returns the nodes of a way that leads back to where it began, nil if there is none.
func (a arrows) circle() []string {
	done := make(map[string]bool)
	var follow func(way []string, node string) []string
	follow = func(way []string, node string) []string {
		if begin := slices.Index(way, node); begin >= 0 {
			return append(way[begin:], node)
		}
		if done[node] {
			return nil
		}
		for _, next := range slices.Sorted(maps.Keys(a[node])) {
			if found := follow(append(way, node), next); found != nil {
				return found
			}
		}
		done[node] = true
		return nil
	}
	for _, node := range slices.Sorted(maps.Keys(a)) {
		if found := follow(nil, node); found != nil {
			return found
		}
	}
	return nil
}

func TestCircle(t *testing.T) {
	t.Parallel()
	for want, graph := range map[string]arrows{
		"":      {"a": {"b": true, "c": true}, "b": {"c": true}, "d": {"a": true}},
		"b c b": {"a": {"b": true}, "b": {"c": true}, "c": {"b": true}},
		"a b a": {"a": {"b": true, "c": true}, "b": {"c": true, "a": true}},
	} {
		if got := strings.Join(graph.circle(), " "); got != want {
			t.Errorf("%v has the circle %q, want %q", graph, got, want)
		}
	}
}

// imports are those of the repository's packages, by folder, on any system: what is built of them, not their tests.
func imports(t *testing.T) arrows {
	t.Helper()
	found := make(arrows)
	for _, file := range tracked(t, "*.go") {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, read(t, file), parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		from := path.Dir(file)
		if found[from] == nil {
			found[from] = make(map[string]bool)
		}
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if to, ours := strings.CutPrefix(imported+"/", root+"/"); ours {
				found[from][path.Clean(to)] = true
			}
		}
	}
	notice(t, slices.Collect(maps.Keys(found)))
	return found
}

// merge makes one node of all that have a name in common. What is within a node is left out.
func (a arrows) merge(name func(node string) string) arrows {
	merged := make(arrows)
	for from, all := range a {
		for to := range all {
			if from, to := name(from), name(to); from != to {
				if merged[from] == nil {
					merged[from] = make(map[string]bool)
				}
				merged[from][to] = true
			}
		}
	}
	return merged
}

// top is the folder at the top that a folder is in; below internal and sdk, that of the package there.
func top(folder string) string {
	parts := strings.SplitN(folder, "/", 3)
	if parts[0] == "internal" || parts[0] == "sdk" {
		return path.Join(parts[:min(2, len(parts))]...)
	}
	return parts[0]
}

// Packages cannot import each other in a circle; rooms could, if a package in one imports the other and another package is
// imported by it. Rooms are looked at as the table has them (bus and bus/cluster are two), and as folders with all that is below
// (bus with bus/cluster is one).
func TestNoCircle(t *testing.T) {
	t.Parallel()
	found, rooms := imports(t), rooms(t)
	if !found["replica"]["bus"] || !found["bus"]["bus/cluster"] {
		t.Error("imports are not found")
	}
	for level, name := range map[string]func(string) string{
		"rooms": func(folder string) string {
			if _, pattern := home(rooms, folder); pattern != "" {
				return pattern
			}
			return folder
		},
		"folders": top,
	} {
		if circle := found.merge(name).circle(); circle != nil {
			t.Errorf("%s import each other: %s", level, strings.Join(circle, " -> "))
		}
	}
}
