package testenv

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gofrs/flock"

	"github.com/pluginhost/pluginhost/testenv/guests"
)

// Binary builds the pluginhost command and returns the file.
func Binary(t testing.TB) string { return build(t, "pluginhost", "./cmd/pluginhost") }

// BinaryWithout is Binary without one of the checks that keep fires from running
// twice: a build tag of package bus.
func BinaryWithout(t testing.TB, tag string) string {
	return build(t, "pluginhost-"+tag, "./cmd/pluginhost", "-tags", tag)
}

// Chaos runs the program of make chaos with args, in a process without the race
// detector, and returns its report. Its error says that the report is not good.
func Chaos(t testing.TB, args ...string) (report string, err error) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), build(t, "chaos", "./testenv/chaos"), args...).CombinedOutput()
	return string(out), err
}

// Plays runs the program of make chaos-plays with args, in a process without the race
// detector, and returns its report. Its error says that the report is not good.
func Plays(t testing.TB, args ...string) (report string, err error) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), build(t, "plays", "./testenv/chaos/plays"), args...).CombinedOutput()
	return string(out), err
}

// Soak runs the program of make soak with args, in a process without the race
// detector, and returns its report. Its error says that the report is not good.
func Soak(t testing.TB, args ...string) (report string, err error) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), build(t, "soak", "./testenv/soak"), args...).CombinedOutput()
	return string(out), err
}

// built are the commands that this process has built, by the names of their files: sources do not
// change while tests run. The go command takes a while to find that out, even if it has nothing to do.
var built sync.Map // of func() (string, error)

// build builds a command of the repository and returns the file.
func build(t testing.TB, name, dir string, flags ...string) string {
	t.Helper()
	// Checkouts that differ do not build into each other's files.
	bin := guests.CacheDir(t, filepath.Join("bin", fmt.Sprintf("%x", sha256.Sum256([]byte(guests.Root())))[:16]))
	once, _ := built.LoadOrStore(name, sync.OnceValues(func() (string, error) { return goBuild(filepath.Join(bin, name), dir, flags...) }))
	file, err := once.(func() (string, error))()
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// goBuild builds a command into a file, for all processes.
func goBuild(file, dir string, flags ...string) (_ string, err error) {
	lock := flock.New(file + ".lock")
	if err := lock.Lock(); err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	cmd := exec.Command("go", append(append([]string{"build"}, flags...), "-o", file, dir)...)
	cmd.Dir = guests.Root()
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return file, nil
}

// copyProgram copies a program that is started next. No process may be started meanwhile: it would
// have the file open for a moment, as this one has, and what is written to cannot be started.
func copyProgram(from, to string) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return errors.Join(copyFile(from, to), os.Chmod(to, 0o700))
}

// Process is a replica in a process of its own.
type Process struct {
	// ReplicaID and NATS are what its ready line said.
	ReplicaID, NATS string

	t     testing.TB
	cmd   *exec.Cmd
	ready chan struct{} // closed when it has said that it is
	done  chan struct{} // closed when the process has ended
	err   error         // how it ended

	mu  sync.Mutex
	log bytes.Buffer
}

// SharedCache begins the configuration file of a replica whose compiled code is
// shared with other tests: nothing of it should go.
const SharedCache = "[Plugins]\nCacheSize = \"4GB\"\n"

// StartProcess runs "pluginhost serve" with args and waits for its ready line.
// The process is killed when the test ends.
func StartProcess(t testing.TB, args ...string) *Process {
	t.Helper()
	return StartBinary(t, Binary(t), args...)
}

// StartBinary is StartProcess for a binary of its own.
func StartBinary(t testing.TB, binary string, args ...string) *Process {
	t.Helper()
	p := LaunchBinary(t, binary, args...)
	p.WaitReady()
	return p
}

// LaunchBinary is StartBinary without waiting.
func LaunchBinary(t testing.TB, binary string, args ...string) *Process {
	t.Helper()
	p := &Process{
		t: t, cmd: exec.Command(binary, append([]string{"serve", "--json"}, args...)...),
		ready: make(chan struct{}), done: make(chan struct{}),
	}
	p.cmd.Dir = t.TempDir()
	p.cmd.Env = append(os.Environ(), "PLUGINHOST_CONFIG=")
	if err := os.WriteFile(filepath.Join(p.cmd.Dir, "pluginhost.toml"), []byte(SharedCache), 0o600); err != nil {
		t.Fatal(err)
	}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		p.read(bufio.NewScanner(stderr))
		p.err = p.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
	})
	return p
}

// WaitReady waits for the ready line.
func (p *Process) WaitReady() {
	p.t.Helper()
	select {
	case <-p.ready:
	case <-p.done:
		p.t.Fatalf("serve ended before it was ready: %v\n%s", p.err, p.Log())
	case <-time.After(2 * time.Minute):
		p.t.Fatalf("serve is not ready\n%s", p.Log())
	}
}

// PID is the id of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

func (p *Process) read(lines *bufio.Scanner) {
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		p.mu.Lock()
		p.log.Write(append(bytes.Clone(lines.Bytes()), '\n'))
		p.mu.Unlock()
		var record struct{ Msg, Replica, NATS string }
		if json.Unmarshal(lines.Bytes(), &record) == nil && record.Msg == "ready" {
			p.ReplicaID, p.NATS = record.Replica, record.NATS
			close(p.ready)
		}
	}
}

// Log is what the process has written so far.
func (p *Process) Log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// Logged says whether a line with all these parts has been written.
func (p *Process) Logged(parts ...string) bool {
	for line := range strings.Lines(p.Log()) {
		all := true
		for _, part := range parts {
			all = all && strings.Contains(line, part)
		}
		if all {
			return true
		}
	}
	return false
}

// Record returns the values of the first JSON record of its log with a message;
// nil is none so far.
func (p *Process) Record(message string) map[string]any {
	for line := range strings.Lines(p.Log()) {
		var record map[string]any
		if json.Unmarshal([]byte(line), &record) == nil && record["msg"] == message {
			return record
		}
	}
	return nil
}

// Signal sends a signal to the process.
func (p *Process) Signal(signal syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(signal); err != nil {
		p.t.Fatal(err)
	}
}

// Ended says whether the process has ended.
func (p *Process) Ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// Wait waits for the end of the process and returns its exit code; -1 is a
// signal.
func (p *Process) Wait() int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(2 * time.Minute):
		p.t.Fatalf("the process does not end\n%s", p.Log())
	}
	return p.cmd.ProcessState.ExitCode()
}
