package compiler

import (
	"os"
	"os/exec"
	"path/filepath"
)

// startedBy is the path by which this program was started.
func startedBy() string {
	path, err := exec.LookPath(os.Args[0])
	if err == nil {
		path, err = filepath.Abs(path) // the process works in another folder
	}
	if err != nil {
		return os.Args[0]
	}
	return path
}
