package plugin_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/pluginhost/pluginhost/plugin"
)

// removable is a plugins folder with a plugin, a broken one, a symlink, a plain
// file and a hidden folder, and a folder beside it that must never go.
func removable(t *testing.T) (folder, beside string) {
	t.Helper()
	root := t.TempDir()
	folder, beside = filepath.Join(root, "plugins"), filepath.Join(root, "beside")
	for _, dir := range []string{"good", "broken", ".hidden", "../beside"} {
		if err := os.MkdirAll(filepath.Join(folder, dir, "deep"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, dir, "plugin.wasm"), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(folder, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{"link": beside, "dangling": filepath.Join(root, "nowhere")} {
		if err := os.Symlink(target, filepath.Join(folder, link)); err != nil {
			t.Fatal(err)
		}
	}
	return folder, beside
}

func TestRemoveTakesOutOnePlugin(t *testing.T) {
	for _, test := range []struct {
		id      string
		symlink bool
		want    error
	}{
		{"good", false, nil},
		{"broken", false, nil},
		{"link", true, nil},
		{"dangling", true, nil},
		{"file", false, plugin.ErrNotFound},
		{"missing", false, plugin.ErrNotFound},
		{"", false, plugin.ErrBadID},
		{".", false, plugin.ErrBadID},
		{"..", false, plugin.ErrBadID},
		{".hidden", false, plugin.ErrBadID},
		{"../beside", false, plugin.ErrBadID},
		{"good/deep", false, plugin.ErrBadID},
		{"good\x00", false, plugin.ErrBadID},
	} {
		t.Run(test.id, func(t *testing.T) {
			folder, beside := removable(t)
			before, err := os.ReadDir(folder)
			if err != nil {
				t.Fatal(err)
			}
			symlink, err := plugin.Remove(t.Context(), folder, test.id)
			if !errors.Is(err, test.want) || symlink != test.symlink {
				t.Fatalf("got %t, %v", symlink, err)
			}
			after, err := os.ReadDir(folder)
			if err != nil {
				t.Fatal(err)
			}
			after = slices.DeleteFunc(after, func(e os.DirEntry) bool { return e.Name() == ".lock" || e.Name() == ".removed" })
			want := len(before)
			if test.want == nil {
				want--
				if _, err := os.Lstat(filepath.Join(folder, test.id)); !os.IsNotExist(err) {
					t.Errorf("it is still there: %v", err)
				}
			}
			if len(after) != want {
				t.Errorf("%d entries are left, want %d", len(after), want)
			}
			if _, err := os.Stat(filepath.Join(beside, "plugin.wasm")); err != nil {
				t.Error(err)
			}
		})
	}
}
