//go:build !unix

package plugin

import (
	"io/fs"
	"os"
)

// giveTree has nothing to do where files have no owner.
func giveTree(fs.FileInfo, *os.Root, string) error { return nil }

// giveFile has nothing to do where files have no owner.
func giveFile(fs.FileInfo, *os.Root, string) error { return nil }

// isOwn cannot be told where files have no owner.
func isOwn(fs.FileInfo) bool { return true }

// giveFolder has nothing to do where files have no owner.
func giveFolder(fs.FileInfo, *os.Root) error { return nil }
