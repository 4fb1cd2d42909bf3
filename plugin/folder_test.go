package plugin

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// writePlugin makes a plugin folder with the given manifest and returns its path.
func writePlugin(t *testing.T, dir, id, manifest string) string {
	t.Helper()
	path := filepath.Join(dir, id)
	mkdir(t, path)
	writeFile(t, filepath.Join(path, "plugin.wasm"), "\x00asm")
	writeFile(t, filepath.Join(path, "manifest.json"), manifest)
	return path
}

func mkdir(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func symlink(t *testing.T, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

func mustScan(t *testing.T, dir string) []Entry {
	t.Helper()
	entries, err := Scan(dir)
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

// scanOne scans a folder that must have one entry, and checks that Load says the same of it.
func scanOne(t *testing.T, dir string) Entry {
	t.Helper()
	entries := mustScan(t, dir)
	if len(entries) != 1 {
		t.Fatalf("%d entries, want 1: %+v", len(entries), entries)
	}
	loaded := Load(dir, entries[0].ID)
	if fmt.Sprint(loaded.Err) != fmt.Sprint(entries[0].Err) {
		t.Fatalf("Load says %v, Scan %v", loaded.Err, entries[0].Err)
	}
	loaded.Err = entries[0].Err
	if !reflect.DeepEqual(loaded, entries[0]) {
		t.Fatalf("Load gives %+v, Scan %+v", loaded, entries[0])
	}
	return loaded
}

func ids(entries []Entry) []string {
	var list []string
	for _, entry := range entries {
		list = append(list, entry.ID)
	}
	return list
}

func TestScanFindsAPlugin(t *testing.T) {
	dir := t.TempDir()
	path := writePlugin(t, dir, "covers", manifestText(change{"version": `"v1"`}))
	entry := scanOne(t, dir)
	if entry.Err != nil {
		t.Fatal(entry.Err)
	}
	want := Entry{
		ID: "covers", Dir: path,
		WasmPath: filepath.Join(path, "plugin.wasm"), ManifestPath: filepath.Join(path, "manifest.json"),
		Manifest: mustParse(t, manifestText(change{"version": `"v1"`})),
		Warnings: []Problem{{"version", `"v1" is not a semantic version such as 1.2.3`}},

		manifestSum: sha256.Sum256([]byte(manifestText(change{"version": `"v1"`}))),
	}
	if !reflect.DeepEqual(entry, want) {
		t.Errorf("entry\n  %+v\nwant\n  %+v", entry, want)
	}
}

func TestScanTakesTheFolderNameAsID(t *testing.T) {
	dir := t.TempDir()
	names := []string{"My Plugin:v1.2", "UPPER", "a.b", "plain", "ü"}
	for _, name := range names {
		writePlugin(t, dir, name, manifestText(nil)) // the same manifest name in all
	}
	entries := mustScan(t, dir)
	if !slices.Equal(ids(entries), names) {
		t.Errorf("ids %q, want %q", ids(entries), names)
	}
	for _, entry := range entries {
		if entry.Err != nil {
			t.Errorf("%s: %v", entry.ID, entry.Err)
		}
	}
}

func TestScanLeavesOutWhatIsNoPlugin(t *testing.T) {
	dir := t.TempDir()
	writePlugin(t, dir, ".hidden", manifestText(nil))
	symlink(t, ".hidden", filepath.Join(dir, ".link"))
	writeFile(t, filepath.Join(dir, "README.md"), "text")
	writeFile(t, filepath.Join(dir, "plugin.wasm"), "text")
	mkdir(t, filepath.Join(dir, "covers"))
	writePlugin(t, filepath.Join(dir, "covers"), "nested", manifestText(nil))
	if got := ids(mustScan(t, dir)); !slices.Equal(got, []string{"covers"}) {
		t.Errorf("ids %q, want only covers", got)
	}
}

func TestScanOfAnEmptyFolder(t *testing.T) {
	if entries := mustScan(t, t.TempDir()); len(entries) != 0 {
		t.Errorf("entries %+v, want none", entries)
	}
}

func TestBrokenPluginIsReportedAndTheOthersLoad(t *testing.T) {
	dir := t.TempDir()
	writePlugin(t, dir, "good-1", manifestText(nil))
	writePlugin(t, dir, "bad-manifest", "{")
	mkdir(t, filepath.Join(dir, "empty"))
	writePlugin(t, dir, "good-2", manifestText(nil))
	var got []string
	for _, entry := range mustScan(t, dir) {
		got = append(got, fmt.Sprintf("%s loads: %v", entry.ID, entry.Err == nil && entry.Manifest != nil))
	}
	want := []string{"bad-manifest loads: false", "empty loads: false", "good-1 loads: true", "good-2 loads: true"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestBrokenPluginSaysWhy(t *testing.T) {
	tests := []struct {
		name  string
		build func(t *testing.T, path string)
		want  string // with %s for the plugin's path
	}{
		{"no wasm", func(t *testing.T, path string) {
			mkdir(t, path)
			writeFile(t, filepath.Join(path, "manifest.json"), manifestText(nil))
		}, "no plugin.wasm found: stat %s/plugin.wasm: no such file or directory; put the built plugin into this folder"},
		{"no manifest", func(t *testing.T, path string) {
			mkdir(t, path)
			writeFile(t, filepath.Join(path, "plugin.wasm"), "")
		}, "failed to load manifest: failed to read manifest file: open %s/manifest.json: no such file or directory; put the plugin's manifest into this folder"},
		{"a manifest that is a directory", func(t *testing.T, path string) {
			mkdir(t, filepath.Join(path, "manifest.json"))
			writeFile(t, filepath.Join(path, "plugin.wasm"), "")
		}, "failed to load manifest: failed to read manifest file: %s/manifest.json is not a regular file: it is a folder; put the plugin's manifest into this folder"},
		{"a manifest that is not JSON", func(t *testing.T, path string) {
			writePlugin(t, filepath.Dir(path), filepath.Base(path), "invalid json")
		}, "failed to load manifest: invalid manifest: is not JSON: line 1: invalid character 'i' looking for beginning of value"},
		{"a manifest that is too large", func(t *testing.T, path string) {
			writePlugin(t, filepath.Dir(path), filepath.Base(path), strings.Repeat(" ", MaxManifestSize+1))
		}, "failed to load manifest: invalid manifest: has more than 1048576 bytes"},
		{"empty capabilities", func(t *testing.T, path string) {
			writePlugin(t, filepath.Dir(path), filepath.Base(path), manifestText(change{"capabilities": "[]"}))
		}, "failed to load manifest: invalid manifest: capabilities: must have at least one item"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "broken")
			test.build(t, path)
			entry := scanOne(t, dir)
			if want := strings.ReplaceAll(test.want, "%s", path); fmt.Sprint(entry.Err) != want {
				t.Errorf("error\n  %v\nwant\n  %s", entry.Err, want)
			}
			if entry.ID != "broken" || entry.Dir != path || entry.Manifest != nil {
				t.Errorf("entry %+v, want id broken, its folder, and no manifest", entry)
			}
		})
	}
}

func TestFaultsOfAManifestAreInTheError(t *testing.T) {
	dir := t.TempDir()
	writePlugin(t, dir, "broken", manifestText(change{"name": "", "version": `"v1"`}))
	entry := scanOne(t, dir)
	if got := faultsOf(t, entry.Err); !slices.Equal(got, []string{"name: is missing"}) {
		t.Errorf("faults %q, want that the name is missing", got)
	}
	if len(entry.Warnings) != 1 {
		t.Errorf("warnings %v, want the one about the version", entry.Warnings)
	}
}

func TestSymlinkToAPlugin(t *testing.T) {
	for _, kind := range []string{"absolute", "relative"} {
		t.Run(kind, func(t *testing.T) {
			root := t.TempDir()
			dir := filepath.Join(root, "plugins")
			mkdir(t, dir)
			target := writePlugin(t, filepath.Join(root, "src"), "covers", manifestText(nil))
			link := target
			if kind == "relative" {
				link = filepath.Join("..", "src", "covers")
			}
			symlink(t, link, filepath.Join(dir, "dev"))
			entry := scanOne(t, dir)
			if entry.Err != nil || entry.ID != "dev" || entry.Dir != target || !entry.Symlink {
				t.Errorf("entry %+v, want dev, a symlink to %s", entry, target)
			}
			if wasm, err := entry.ReadWasm(); err != nil || string(wasm) != "\x00asm" {
				t.Errorf("wasm %q, error %v", wasm, err)
			}
		})
	}
}

func TestTwoSymlinksToOneFolderAreTwoPlugins(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "plugins")
	mkdir(t, dir)
	target := writePlugin(t, root, "src", manifestText(nil))
	symlink(t, target, filepath.Join(dir, "one"))
	symlink(t, filepath.Join(dir, "one"), filepath.Join(dir, "two")) // a link to a link
	entries := mustScan(t, dir)
	if !slices.Equal(ids(entries), []string{"one", "two"}) || entries[0].Err != nil || entries[1].Err != nil {
		t.Errorf("entries %+v, want one and two without errors", entries)
	}
}

func TestBrokenSymlinkSaysWhy(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(t.TempDir(), "file")
	writeFile(t, file, "text")
	gone := filepath.Join(dir, "gone")
	tests := []struct {
		id, target, dir, want string
	}{
		{"broken", "gone", gone,
			fmt.Sprintf("failed to stat symlink target %[1]s: stat %[1]s: no such file or directory; restore that folder or remove the link", gone)},
		{"file", file, file,
			fmt.Sprintf("symlink target is not a directory: %s; link the folder that holds plugin.wasm and manifest.json", file)},
		{"itself", "itself", filepath.Join(dir, "itself"),
			fmt.Sprintf("failed to stat symlink target %[1]s: stat %[1]s: too many levels of symbolic links; restore that folder or remove the link", filepath.Join(dir, "itself"))},
	}
	for _, test := range tests {
		symlink(t, test.target, filepath.Join(dir, test.id))
	}
	entries := mustScan(t, dir)
	if len(entries) != len(tests) {
		t.Fatalf("%d entries, want %d", len(entries), len(tests))
	}
	for i, test := range tests {
		t.Run(test.id, func(t *testing.T) {
			entry := entries[i]
			if fmt.Sprint(entry.Err) != test.want {
				t.Errorf("error\n  %v\nwant\n  %s", entry.Err, test.want)
			}
			if entry.ID != test.id || !entry.Symlink || entry.Dir != test.dir {
				t.Errorf("entry %+v, want %s, a symlink to %s", entry, test.id, test.dir)
			}
			if err := Load(dir, test.id).Err; errors.Is(err, ErrNotFound) {
				t.Errorf("Load says the plugin is not there: %v", err)
			}
		})
	}
}

func TestScanOfAFolderThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "file"), "")
	for _, name := range []string{"missing", "file"} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, name)
			entries, err := Scan(path)
			if want := "failed to read plugins directory " + path + ": "; !strings.HasPrefix(fmt.Sprint(err), want) {
				t.Errorf("error %v, want one that begins %q", err, want)
			}
			if entries != nil {
				t.Errorf("entries %v, want none", entries)
			}
		})
	}
	if _, err := Scan(filepath.Join(dir, "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v, want it to be fs.ErrNotExist", err)
	}
}

func TestScanBoundsTheFolder(t *testing.T) {
	dir := t.TempDir()
	for i := range maxFolderEntries - 1 {
		writeFile(t, filepath.Join(dir, fmt.Sprintf("file%d", i)), "")
	}
	writePlugin(t, dir, "covers", manifestText(nil))
	if got := ids(mustScan(t, dir)); !slices.Equal(got, []string{"covers"}) {
		t.Fatalf("ids %q of a folder at the bound, want covers", got)
	}
	writeFile(t, filepath.Join(dir, "one-more"), "")
	_, err := Scan(dir)
	if want := "failed to read plugins directory " + dir + ": it has more than 10000 entries; give the plugins a folder of their own"; fmt.Sprint(err) != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestLoadRefusesIDsThatAreNoFolderName(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "plugins")
	writePlugin(t, root, "outside", manifestText(nil))
	writePlugin(t, dir, "inside", manifestText(nil))
	writePlugin(t, dir, ".hidden", manifestText(nil))
	writePlugin(t, filepath.Join(dir, "inside"), "nested", manifestText(nil))
	for _, id := range []string{
		"", ".", "..", ".hidden", "../outside", "inside/nested", "inside/", "/inside", "./inside", "inside/../inside",
		filepath.Join(root, "outside"), `..\outside`, `inside\nested`, "inside\x00", "\x00", strings.Repeat("x", 256),
	} {
		t.Run(fmt.Sprintf("%.20q", id), func(t *testing.T) {
			entry := Load(dir, id)
			if !errors.Is(entry.Err, ErrBadID) {
				t.Errorf("error %v, want ErrBadID", entry.Err)
			}
			entry.Err = nil
			if want := (Entry{ID: id}); !reflect.DeepEqual(entry, want) {
				t.Errorf("entry %+v, want nothing but the id", entry)
			}
		})
	}
}

func TestScanReportsANameThatLoadRefuses(t *testing.T) {
	dir := t.TempDir()
	writePlugin(t, dir, `a\b`, manifestText(nil))
	if entry := scanOne(t, dir); !errors.Is(entry.Err, ErrBadID) {
		t.Errorf("error %v, want ErrBadID", entry.Err)
	}
}

func TestLoadOfWhatIsNotThere(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "file"), "")
	for _, path := range []string{"missing", "file", strings.Repeat("x", 255)} {
		if err := Load(dir, path).Err; !errors.Is(err, ErrNotFound) {
			t.Errorf("error for %.10s is %v, want ErrNotFound", path, err)
		}
	}
	if err := Load(filepath.Join(dir, "no folder"), "covers").Err; !errors.Is(err, ErrNotFound) {
		t.Errorf("error without a plugins folder is %v, want ErrNotFound", err)
	}
}

func TestLoadOfABrokenPluginIsNotNotFound(t *testing.T) {
	dir := t.TempDir()
	mkdir(t, filepath.Join(dir, "empty"))
	if err := Load(dir, "empty").Err; err == nil || errors.Is(err, ErrNotFound) {
		t.Errorf("error %v, want one that is not ErrNotFound", err)
	}
}

func TestLoadSeesAChangedPlugin(t *testing.T) {
	dir := t.TempDir()
	writePlugin(t, dir, "covers", manifestText(nil))
	before := Load(dir, "covers")
	writePlugin(t, dir, "covers", manifestText(change{"version": `"2.0.0"`}))
	after := Load(dir, "covers")
	if before.Err != nil || after.Err != nil {
		t.Fatal(before.Err, after.Err)
	}
	if before.Manifest.Version != "1.2.3" || after.Manifest.Version != "2.0.0" {
		t.Errorf("versions %s and %s, want 1.2.3 and 2.0.0", before.Manifest.Version, after.Manifest.Version)
	}
}

func TestReadWasmUpToItsBound(t *testing.T) {
	dir := t.TempDir()
	path := writePlugin(t, dir, "covers", manifestText(nil))
	entry := scanOne(t, dir)
	file := filepath.Join(path, "plugin.wasm")

	if err := os.Truncate(file, MaxWasmSize); err != nil {
		t.Fatal(err)
	}
	wasm, err := entry.ReadWasm()
	if err != nil || len(wasm) != MaxWasmSize || !bytes.HasPrefix(wasm, []byte("\x00asm\x00")) {
		t.Errorf("%d bytes, error %v; want all %d", len(wasm), err, MaxWasmSize)
	}

	if err := os.Truncate(file, MaxWasmSize+1); err != nil {
		t.Fatal(err)
	}
	wasm, err = entry.ReadWasm()
	if want := "failed to read wasm file: " + file + " has more than 67108864 bytes; build it without debug information"; fmt.Sprint(err) != want || wasm != nil {
		t.Errorf("%d bytes, error %v; want %s", len(wasm), err, want)
	}
}

func TestReadWasmThatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	path := writePlugin(t, dir, "covers", manifestText(nil))
	file := filepath.Join(path, "plugin.wasm")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	mkdir(t, file) // passes the scan, as it does in Navidrome
	entry := scanOne(t, dir)
	if entry.Err != nil {
		t.Fatal(entry.Err)
	}
	_, err := entry.ReadWasm()
	if want := "failed to read wasm file: " + file + " is not a regular file: it is a folder"; fmt.Sprint(err) != want {
		t.Errorf("error %v, want %s", err, want)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if _, err := entry.ReadWasm(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v after the file went, want fs.ErrNotExist", err)
	}
}

func TestReadWasmOfABrokenPlugin(t *testing.T) {
	entry := Load(t.TempDir(), "missing")
	if _, err := entry.ReadWasm(); !errors.Is(err, ErrNotFound) {
		t.Errorf("error %v, want the one of the entry", err)
	}
}
