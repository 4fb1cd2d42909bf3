package testenv

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// NATSProcess is one NATS server with JetStream in a process of its own, which a test can
// stop, kill and start again, with the same address and data. It ends with the test.
type NATSProcess struct {
	t               testing.TB
	binary, url     string
	store, settings string
	process         *exec.Cmd
	log             Log
}

// StartNATSProcess starts a server whose JetStream keeps its data in a folder, with settings
// of its own: lines of the block jetstream.
func StartNATSProcess(t testing.TB, store, settings string) *NATSProcess {
	t.Helper()
	s := &NATSProcess{url: "nats://127.0.0.1:-1", t: t, binary: natsServer(t), store: store, settings: settings}
	s.Start()
	t.Cleanup(s.Kill)
	return s
}

// natsServer builds the server and returns the file.
func natsServer(t testing.TB) string { return build(t, "natsserver", "./testenv/natsserver") }

// URL is where clients reach it.
func (s *NATSProcess) URL() string { return s.url }

// Start starts it, and returns when it takes connections.
func (s *NATSProcess) Start() {
	s.t.Helper()
	config := filepath.Join(s.t.TempDir(), "nats.conf")
	settings := fmt.Sprintf("listen: %q\njetstream {\nstore_dir: %q\n%s\n}\n", strings.TrimPrefix(s.url, "nats://"), s.store, s.settings)
	if err := os.WriteFile(config, []byte(settings), 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.process = exec.Command(s.binary, config)
	s.process.Stderr = &s.log
	if _, err := s.process.StdinPipe(); err != nil { // the server ends, too, if this process does
		s.t.Fatal(err)
	}
	out, err := s.process.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.process.Start(); err != nil {
		s.t.Fatal(err)
	}
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		s.Kill()
		s.t.Fatalf("the NATS server does not become ready: %v\n%s", err, s.log.String())
	}
	s.url = strings.TrimSpace(url)
}

// Stop has it shut down, and waits for that.
func (s *NATSProcess) Stop() { s.signal(syscall.SIGTERM) }

// Kill ends it with SIGKILL.
func (s *NATSProcess) Kill() { s.signal(syscall.SIGKILL) }

func (s *NATSProcess) signal(signal syscall.Signal) {
	_ = s.process.Process.Signal(signal) // it may be gone already
	_ = s.process.Wait()
}

// SaveStreams saves what the server has of streams now. The function it returns, called once the
// server was stopped, puts that back: the streams are older than their consumers then, as when
// the machine has lost what it did not write to its disk.
func (s *NATSProcess) SaveStreams(streams ...string) (putBack func()) {
	s.t.Helper()
	return saveStreams(s.t, s.url, []string{s.store}, streams)
}
