//go:build unix

package plugin

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// giveTo has root give what it has written into a folder to the owner of that: the host that
// reads it is another user most often.
func giveTo(owner fs.FileInfo, path string) error {
	stat, ok := owner.Sys().(*syscall.Stat_t)
	if os.Geteuid() != 0 || !ok || stat.Uid == 0 {
		return nil
	}
	return filepath.WalkDir(path, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(stat.Uid), int(stat.Gid)) // #nosec G122 -- below a folder of our own making
	})
}
