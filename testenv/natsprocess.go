package testenv

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go"
)

// NATSProcess is one NATS server with JetStream in a process of its own, which a test can
// kill. It ends with the test.
type NATSProcess struct {
	// URL is where clients reach it.
	URL string

	t              testing.TB
	binary, config string
	process        *exec.Cmd
}

// StartNATSProcess starts a server whose JetStream keeps its data in a folder, with settings
// of its own: lines of the block jetstream.
func StartNATSProcess(t testing.TB, store, settings string) *NATSProcess {
	t.Helper()
	port := freePorts(t, 1)[0]
	s := &NATSProcess{URL: fmt.Sprintf("nats://127.0.0.1:%d", port), t: t, binary: build(t, "natsserver", "./testenv/natsserver"), config: filepath.Join(t.TempDir(), "nats.conf")}
	config := fmt.Sprintf("listen: 127.0.0.1:%d\njetstream {\nstore_dir: %q\n%s\n}\n", port, store, settings)
	if err := os.WriteFile(s.config, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(s.Kill)
	return s
}

// Start starts it, and returns when it takes connections.
func (s *NATSProcess) Start() {
	s.t.Helper()
	s.process = exec.Command(s.binary, s.config)
	if err := s.process.Start(); err != nil {
		s.t.Fatal(err)
	}
	await(s.t, "the NATS server does not become ready", func() bool {
		conn, err := nats.Connect(s.URL)
		if err != nil {
			return false
		}
		conn.Close()
		return true
	})
}

// Kill ends it with SIGKILL.
func (s *NATSProcess) Kill() {
	_ = s.process.Process.Signal(syscall.SIGKILL) // it may be dead already
	_ = s.process.Wait()
}
