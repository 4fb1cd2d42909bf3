//go:build unix

package regular_test

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/pluginhost/pluginhost/internal/regular"
)

func TestOnlyRegularFilesAreRead(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(path("file"), []byte("0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path("folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(path("pipe"), 0o600); err != nil { // which nobody writes to
		t.Fatal(err)
	}
	socket, err := net.Listen("unix", path("socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = socket.Close() }()
	for name, target := range map[string]string{"link": "file", "to-pipe": "pipe", "endless": "/dev/zero"} {
		if err := os.Symlink(target, path(name)); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]struct {
		content, says string
		err           error
	}{
		"file":    {content: "01234567"},
		"link":    {content: "01234567"},
		"folder":  {err: regular.ErrNotRegular, says: path("folder") + " is not a regular file: it is a folder"},
		"pipe":    {err: regular.ErrNotRegular, says: "it is a named pipe"},
		"to-pipe": {err: regular.ErrNotRegular, says: "it is a named pipe"},
		"socket":  {err: regular.ErrNotRegular, says: "it is a socket"},
		"endless": {err: regular.ErrNotRegular, says: "it is a device"},
		"missing": {err: fs.ErrNotExist, says: path("missing")},
	} {
		content, err := regular.Read(path(name), 8)
		if string(content) != want.content || !errors.Is(err, want.err) || err != nil && !strings.Contains(err.Error(), want.says) {
			t.Errorf("%s: %q, %v; want %q, %q", name, content, err, want.content, want.says)
		}
	}
}

// Between a look at a name and the opening of it there may be another file: what is opened is
// looked at as well. It is opened without waiting.
func TestAPipeThatTakesTheNameOfAFileHoldsNobodyUp(t *testing.T) {
	dir := t.TempDir()
	name, file, pipe := filepath.Join(dir, "name"), filepath.Join(dir, "file"), filepath.Join(dir, "pipe")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
			}
			// Each is under the name in turn, always as a whole.
			next := filepath.Join(dir, "next")
			if err := os.Link([]string{file, pipe}[n%2], next); err != nil {
				stopped <- err
				return
			}
			if err := os.Rename(next, name); err != nil {
				stopped <- err
				return
			}
		}
	}()
	for range 20_000 {
		content, err := regular.Read(name, 8)
		if err == nil && string(content) != "x" || err != nil && !errors.Is(err, regular.ErrNotRegular) && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("read %q, %v", content, err)
			break
		}
	}
	close(stop)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
}
