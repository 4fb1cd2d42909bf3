package plugin_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/plugin"
)

func install(t *testing.T, folder, id string) {
	t.Helper()
	if err := plugin.Install(t.Context(), folder, id, packed(t, "1"), nil); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, folder, id string) {
	t.Helper()
	if _, err := plugin.Remove(t.Context(), folder, id); err != nil {
		t.Fatal(err)
	}
}

func TestRemoveLeavesAMarkUntilThePluginIsThereAgain(t *testing.T) {
	folder, source := t.TempDir(), t.TempDir()
	install(t, source, "source")
	put := map[string]func(t *testing.T){
		"installed": func(t *testing.T) { install(t, folder, "covers") },
		"linked": func(t *testing.T) {
			if err := plugin.Link(t.Context(), folder, "covers", filepath.Join(source, "source"), false); err != nil {
				t.Fatal(err)
			}
		},
	}
	seen := map[string]bool{"": true}
	for range 2 {
		for name, again := range put {
			again(t)
			if mark := plugin.RemovalMark(folder, "covers"); mark != "" {
				t.Errorf("%s again it has the mark %q", name, mark)
			}
			remove(t, folder, "covers")
			mark := plugin.RemovalMark(folder, "covers")
			if seen[mark] {
				t.Errorf("the mark of another removal is %q again", mark)
			}
			seen[mark] = true
		}
	}
	if entries, err := plugin.Scan(folder); err != nil || len(entries) > 0 {
		t.Errorf("the folder has %+v, %v", entries, err)
	}
	for _, id := range []string{"", ".", "..", "../covers", "other"} {
		if mark := plugin.RemovalMark(folder, id); mark != "" {
			t.Errorf("%q has the mark %q", id, mark)
		}
	}
}

func TestMarksAreFewAndNotOld(t *testing.T) {
	folder := t.TempDir()
	marks := filepath.Join(folder, ".removed")
	if err := os.Mkdir(marks, 0o700); err != nil {
		t.Fatal(err)
	}
	leave := func(name string, age time.Duration) {
		t.Helper()
		path := filepath.Join(marks, name)
		if err := os.WriteFile(path, []byte("m"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Time{}, time.Now().Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 1500 {
		leave(fmt.Sprint("many-", n), time.Duration(n)*time.Minute)
	}
	leave("old", 40*24*time.Hour)
	install(t, folder, "covers")
	remove(t, folder, "covers")
	left, err := os.ReadDir(marks)
	if err != nil || len(left) != 1000 {
		t.Errorf("%d marks are left, want 1000: %v", len(left), err)
	}
	for id, want := range map[string]bool{"covers": true, "many-0": true, "many-998": true, "many-999": false, "old": false} {
		if got := plugin.RemovalMark(folder, id) != ""; got != want {
			t.Errorf("%s has a mark: %t, want %t", id, got, want)
		}
	}
}

// A mark is read by whoever looks at the folder: it cannot hold him up, nor fill his memory.
func TestWhatIsNoMarkIsNone(t *testing.T) {
	folder := t.TempDir()
	marks := filepath.Join(folder, ".removed")
	if err := os.MkdirAll(filepath.Join(marks, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/zero", filepath.Join(marks, "endless")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(marks, "long"), []byte(strings.Repeat("x", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	for id, longest := range map[string]int{"folder": 0, "endless": 0, "long": 64} {
		if mark := plugin.RemovalMark(folder, id); len(mark) > longest {
			t.Errorf("%s has a mark of %d bytes", id, len(mark))
		}
	}
}
