//go:build unix

package plugin

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// giveTree has root give what it has written below a folder of its own to the owner of another: the host that reads it is
// another user most often. Symlinks are given, and not followed.
func giveTree(owner fs.FileInfo, room *os.Root, name string) error {
	stat := receiver(owner)
	if stat == nil {
		return nil
	}
	return fs.WalkDir(room.FS(), filepath.ToSlash(name), func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return room.Lchown(filepath.FromSlash(path), int(stat.Uid), int(stat.Gid))
	})
}

// giveFile has root give an empty file that it has made in a folder to another owner. What is under its name may be
// another file by now, as a link to one of root's: it is opened first, and stays as it is.
func giveFile(owner fs.FileInfo, folder *os.Root, name string) error {
	stat := receiver(owner)
	if stat == nil {
		return nil
	}
	file, err := folder.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // nothing was written
	info, err := file.Stat()
	if err != nil {
		return err
	}
	is, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.Mode().IsRegular() || info.Size() > 0 || is.Uid != 0 || is.Nlink != 1 {
		return nil // not ours to give
	}
	return file.Chown(int(stat.Uid), int(stat.Gid))
}

// receiver is who gets what this process writes; nil is nobody but itself.
func receiver(owner fs.FileInfo) *syscall.Stat_t {
	stat, ok := owner.Sys().(*syscall.Stat_t)
	if os.Geteuid() != 0 || !ok || stat.Uid == 0 {
		return nil
	}
	return stat
}

// isOwn says whether a file belongs to the user of this process, and to nobody else.
func isOwn(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return !ok || int(stat.Uid) == os.Geteuid()
}

// giveFolder has root give a folder that it has made to another owner.
func giveFolder(owner fs.FileInfo, folder *os.Root) error {
	stat := receiver(owner)
	if stat == nil {
		return nil
	}
	opened, err := folder.Open(".")
	if err != nil {
		return err
	}
	defer func() { _ = opened.Close() }() // nothing was written
	info, err := opened.Stat()
	if err != nil || !isOwn(info) {
		return err
	}
	return opened.Chown(int(stat.Uid), int(stat.Gid))
}
