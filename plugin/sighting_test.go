package plugin

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func TestPrintIsAnotherForEveryChange(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, dir, plugin string){
		"more bytes": func(t *testing.T, _, plugin string) {
			writeFile(t, filepath.Join(plugin, "plugin.wasm"), "\x00asm more")
		},
		"the same bytes, written again": func(t *testing.T, _, plugin string) {
			if err := os.Chtimes(filepath.Join(plugin, "manifest.json"), time.Time{}, time.Unix(1, 0)); err != nil {
				t.Fatal(err)
			}
		},
		"another file of the same size and time": func(t *testing.T, dir, plugin string) {
			info, err := os.Stat(filepath.Join(plugin, "plugin.wasm"))
			if err != nil {
				t.Fatal(err)
			}
			writeFile(t, filepath.Join(dir, ".new"), "\x00ASM")
			if err := os.Chtimes(filepath.Join(dir, ".new"), time.Time{}, info.ModTime()); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(filepath.Join(dir, ".new"), filepath.Join(plugin, "plugin.wasm")); err != nil {
				t.Fatal(err)
			}
		},
		"a file is gone": func(t *testing.T, _, plugin string) {
			if err := os.Remove(filepath.Join(plugin, "manifest.json")); err != nil {
				t.Fatal(err)
			}
		},
		"a symlink instead of the folder": func(t *testing.T, dir, plugin string) {
			if err := os.Rename(plugin, filepath.Join(dir, ".moved")); err != nil {
				t.Fatal(err)
			}
			symlink(t, ".moved", plugin)
		},
		"it is gone": func(t *testing.T, _, plugin string) {
			if err := os.RemoveAll(plugin); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			plugin := writePlugin(t, dir, "one", "{}")
			before := LookAt(dir, "one").Print
			writeFile(t, filepath.Join(plugin, "notes.txt"), "no part of it")
			if same := LookAt(dir, "one").Print; same != before {
				t.Errorf("nothing has changed, but %q is %q", before, same)
			}
			change(t, dir, plugin)
			if after := LookAt(dir, "one").Print; after == before {
				t.Errorf("still %q", after)
			}
		})
	}
}

func TestLookListsWhatScanDoes(t *testing.T) {
	dir := t.TempDir()
	elsewhere := t.TempDir()
	writePlugin(t, elsewhere, "real", "{}")
	writePlugin(t, dir, "folder", "{")
	writePlugin(t, dir, ".hidden", "{}")
	mkdir(t, filepath.Join(dir, "empty"))
	writeFile(t, filepath.Join(dir, "file"), "")
	symlink(t, filepath.Join(elsewhere, "real"), filepath.Join(dir, "link"))
	symlink(t, "nowhere", filepath.Join(dir, "dangling"))
	survey, err := Look(dir)
	sightings := survey.Sightings
	if err != nil {
		t.Fatal(err)
	}
	var seen []string
	for _, s := range sightings {
		seen = append(seen, s.ID)
		if s.ID == "link" && !slices.Contains(s.Folders, filepath.Join(elsewhere, "real")) {
			t.Errorf("the folders of a linked plugin are %q", s.Folders)
		}
	}
	if want := ids(mustScan(t, dir)); !slices.Equal(seen, want) {
		t.Errorf("Look lists %q, Scan %q", seen, want)
	}
	for _, id := range []string{"", "../x", ".hidden", "file", "missing"} {
		if got := LookAt(dir, id); got.Print != "" || got.Folders != nil {
			t.Errorf("LookAt(%q) is %+v", id, got)
		}
	}
	if _, err := Look(filepath.Join(dir, "missing")); err == nil {
		t.Error("Look at a folder that is not there has no error")
	}
}
