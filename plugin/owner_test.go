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

// The owner of the folder is not trusted: what root gives away is what root has made, whatever is under its name.
func TestRootGivesAwayNothingButItsOwn(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	const owner = 12345
	uid := func(path string) uint32 {
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Sys().(*syscall.Stat_t).Uid
	}
	for name, trap := range map[string]func(t *testing.T, folder, secret string){
		"the lock is a link to a file of root's": func(t *testing.T, folder, secret string) {
			if err := os.Link(secret, filepath.Join(folder, ".lock")); err != nil {
				t.Fatal(err)
			}
		},
		"the lock is a symlink to a file of root's": func(t *testing.T, folder, secret string) {
			if err := os.Symlink(secret, filepath.Join(folder, ".lock")); err != nil {
				t.Fatal(err)
			}
		},
		"the marks are a symlink to a folder of root's": func(t *testing.T, folder, secret string) {
			if err := os.Symlink(filepath.Dir(secret), filepath.Join(folder, ".removed")); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			folder, elsewhere := t.TempDir(), t.TempDir()
			secret := filepath.Join(elsewhere, "secret")
			if err := os.WriteFile(secret, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			trap(t, folder, secret)
			if err := os.Chown(folder, owner, owner); err != nil {
				t.Fatal(err)
			}
			if err := plugin.Install(t.Context(), folder, "covers", packed(t, "1"), nil); err != nil {
				t.Log(err) // to refuse is fine
			} else if _, err := plugin.Remove(t.Context(), folder, "covers"); err != nil {
				t.Log(err)
			}
			if uid(secret) != 0 || uid(elsewhere) != 0 {
				t.Errorf("the secret is of %d, its folder of %d", uid(secret), uid(elsewhere))
			}
			if files, err := os.ReadDir(elsewhere); err != nil || len(files) != 1 {
				t.Errorf("%v are where root keeps its secret: %v", files, err)
			}
		})
	}
}

func TestRootGivesTheMarkOfARemovalToTheOwnerOfTheFolder(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	const owner = 12345
	folder := t.TempDir()
	if err := os.Chown(folder, owner, owner); err != nil {
		t.Fatal(err)
	}
	install(t, folder, "covers")
	remove(t, folder, "covers")
	for _, name := range []string{".removed", ".removed/covers", ".lock"} {
		info, err := os.Lstat(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		if is := info.Sys().(*syscall.Stat_t); is.Uid != owner {
			t.Errorf("%s is of %d", name, is.Uid)
		}
	}
}
