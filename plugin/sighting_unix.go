//go:build unix

package plugin

import (
	"fmt"
	"io/fs"
	"syscall"
)

// fileNumber is the same for two names of one file only.
func fileNumber(info fs.FileInfo) string {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return fmt.Sprintf("%d:%d", stat.Dev, stat.Ino)
	}
	return ""
}

// deviceOf names the file system that a file is on.
func deviceOf(info fs.FileInfo) string {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return fmt.Sprint(stat.Dev)
	}
	return ""
}
