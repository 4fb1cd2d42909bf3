//go:build !unix

package plugin

import "io/fs"

// fileNumber is not known on this system.
func fileNumber(fs.FileInfo) string { return "" }

// deviceOf is not known on this system.
func deviceOf(fs.FileInfo) string { return "" }
