package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// program builds a command of the repository and returns the file.
func (b *bench) program(ctx context.Context, folder string) (string, error) {
	root, err := filepath.Abs("..")
	if err != nil {
		return "", err
	}
	file := filepath.Join(b.dir, filepath.Base(folder))
	cmd := exec.CommandContext(ctx, "go", "build", "-o", file, folder)
	cmd.Dir, cmd.Env = root, append(os.Environ(), "GOWORK=") // the root needs its workspace, which this program is not in
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s (run this in the folder bench): %w\n%s", folder, err, out)
	}
	return file, nil
}

// maxSaid bounds what is kept of what a process writes, in bytes.
const maxSaid = 64 << 10

// process is a program in a process of its own.
type process struct {
	cmd  *exec.Cmd
	done sync.WaitGroup

	mu   sync.Mutex
	said []byte // to stderr
}

// startProcess starts a program and returns once it has written a line for which ready is true to stdout or stderr, with
// that line. Its standard input ends with this process. The caller stops it.
func startProcess(ctx context.Context, ready func(line string) bool, file string, args ...string) (_ *process, line string, err error) {
	p := &process{cmd: exec.Command(file, args...)}
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, "", err
	}
	p.cmd.Stdout, p.cmd.Stderr = writer, writer
	if _, err = p.cmd.StdinPipe(); err == nil {
		err = p.cmd.Start()
	}
	_ = writer.Close() // the process has its own
	if err != nil {
		_ = reader.Close()
		return nil, "", fmt.Errorf("start %s: %w", file, err)
	}
	found := make(chan string, 1)
	p.done.Go(func() {
		defer close(found)
		defer func() { _ = reader.Close() }()
		is := ready
		for lines := bufio.NewScanner(reader); lines.Scan(); {
			p.note(lines.Text())
			if is != nil && is(lines.Text()) {
				is = nil
				found <- lines.Text()
			}
		}
		_, _ = io.Copy(io.Discard, reader) // behind a line that is too long
	})
	select {
	case line, ok := <-found:
		if ok {
			return p, line, nil
		}
		err = errors.New("it ended")
	case <-time.After(startTimeout):
		err = fmt.Errorf("it is not ready after %v", startTimeout)
	case <-ctx.Done():
		err = ctx.Err()
	}
	return nil, "", fmt.Errorf("%s: %w\n%s", file, errors.Join(err, p.kill()), p.said)
}

func (p *process) note(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.said) < maxSaid {
		p.said = append(append(p.said, line...), '\n')
	}
}

// line returns the rest of the first line that has a text, behind it.
func (p *process) line(text string) (rest string, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for line := range strings.Lines(string(p.said)) {
		if _, rest, ok := strings.Cut(line, text); ok {
			return strings.TrimSpace(rest), true
		}
	}
	return "", false
}

// kill ends the process at once: nothing that it has is needed any more.
func (p *process) kill() error {
	err := p.cmd.Process.Signal(syscall.SIGKILL)
	_ = p.cmd.Wait() // killed, as it should be
	p.done.Wait()
	return err
}

// resident is how much memory the process has of the system, in bytes. Only Linux tells.
func (p *process) resident() (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("resident size: %w", err)
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kilobytes, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			return kilobytes << 10, err
		}
	}
	return 0, errors.New("resident size: the system does not tell")
}
