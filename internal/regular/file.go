package regular

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// ErrNotRegular says that what is under a name is not a regular file, such as a folder, a named pipe or a device.
var ErrNotRegular = errors.New("is not a regular file")

// Open opens a regular file for reading and does not wait for it. Symlinks are followed. The caller closes it. The error is
// [ErrNotRegular], or what the system says.
func Open(path string) (*os.File, error) {
	if info, err := os.Stat(path); err == nil { // to open a device may already do something
		if err := check(path, info); err != nil {
			return nil, err
		}
	}
	file, err := os.OpenFile(path, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return nil, err
	}
	// It may be another one by now.
	info, err := file.Stat()
	if err == nil {
		err = check(path, info)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// Read reads the first bytes of a regular file, at most limit. Who must know whether there are more asks for one more. The
// error is that of [Open], or what the system says.
func Read(path string, limit int64) ([]byte, error) {
	file, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // nothing was written
	var size int64
	if info, err := file.Stat(); err == nil {
		size = info.Size()
	}
	content := bytes.NewBuffer(make([]byte, 0, min(size, limit)+bytes.MinRead)) // a plugin.wasm has megabytes
	_, err = content.ReadFrom(io.LimitReader(file, limit))
	return content.Bytes(), err
}

func check(path string, info fs.FileInfo) error {
	if info.Mode().IsRegular() {
		return nil
	}
	return fmt.Errorf("%s %w: it is a %s", path, ErrNotRegular, kind(info.Mode()))
}

// kind is what a file is that is not regular.
func kind(mode fs.FileMode) string {
	switch {
	case mode.IsDir():
		return "folder"
	case mode&fs.ModeNamedPipe != 0:
		return "named pipe"
	case mode&fs.ModeSocket != 0:
		return "socket"
	case mode&fs.ModeDevice != 0:
		return "device"
	default:
		return "special file"
	}
}
