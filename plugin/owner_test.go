//go:build unix

package plugin_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/pluginhost/pluginhost/plugin"
)

// As with sudo: the host that reads the folder is another user.
func TestRootGivesWhatItInstallsToTheOwnerOfTheFolder(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	const owner, group = 12345, 12346
	folder := t.TempDir()
	if err := os.Chown(folder, owner, group); err != nil {
		t.Fatal(err)
	}
	if err := plugin.Install(t.Context(), folder, "covers", packed(t, "1"), nil); err != nil {
		t.Fatal(err)
	}
	files := 0
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		files++
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if is := info.Sys().(*syscall.Stat_t); is.Uid != owner || is.Gid != group {
			t.Errorf("%s is of %d:%d", path, is.Uid, is.Gid)
		}
		return nil
	})
	if err != nil || files != 7 { // itself, the lock, the plugin's folder with two files, and one in a folder of its own
		t.Errorf("%d files: %v", files, err)
	}
}
