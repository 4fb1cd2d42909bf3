package replica_test

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/journal"
)

// Records of the log.
const (
	takesNone  = "JetStream takes no writes: this replica is not ready, and schedules wait; calls go on"
	takesAgain = "JetStream takes writes again"
)

// readyz is what a replica answers whether it is ready.
func readyz(t *testing.T, p *testenv.Process) (ready bool, reason string) {
	t.Helper()
	address, _ := p.Record("ready")["http"].(string)
	answer, err := http.Get("http://" + address + "/readyz") //nolint:noctx // it is a test's own process
	if err != nil {
		return false, err.Error() // it may be about to end
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode == http.StatusOK, string(body)
}

func awaitReady(t *testing.T, p *testenv.Process, want bool) (reason string) {
	t.Helper()
	eventually(t, "the replica's readiness changes", func() bool {
		ready, text := readyz(t, p)
		reason = text
		return ready == want
	})
	return reason
}

// onSmallDisk is a cluster whose NATS server is a process with a disk that can be filled.
func onSmallDisk(t *testing.T, settings string, answer journal.Answer) (*stateful, *testenv.SmallDisk, *testenv.NATSProcess) {
	t.Helper()
	disk := testenv.NewSmallDisk(t, 16<<20)
	server := testenv.StartNATSProcess(t, filepath.Join(disk.Folder, "store"), settings)
	return newStatefulAt(t, server.URL(), answer), disk, server
}

func TestAFullDiskOfNATSIsToldAndNoFireIsLost(t *testing.T) {
	t.Parallel()
	s, disk, server := onSmallDisk(t, "", nil)
	p := s.process("--http", "127.0.0.1:0")
	s.do(every("often", often))
	s.journal.AwaitAbout(t, "fire", "often", 1)
	s.do(once("later", 8))
	disk.Fill()
	reason := awaitReady(t, p, false)
	if !strings.Contains(reason, "disk") || !strings.Contains(reason, "restart nats-server") {
		t.Errorf("the reason is %q", reason)
	}
	eventually(t, "the log tells it", func() bool { return p.Logged(`"ERROR"`, takesNone) })
	replicas, err := s.client.Status(t.Context())
	if err != nil || len(replicas) != 1 || replicas[0].Ready || replicas[0].Fault == nil || replicas[0].Leader != "" {
		t.Errorf("the status is %+v, %v", replicas, err)
	}
	s.do(journal.Command{Do: "now"}) // calls go on
	before := len(s.journal.About("fire", "often"))
	disk.Free()
	server.Kill()
	server.Start()
	awaitReady(t, p, true)
	eventually(t, "the log tells that it is over", func() bool { return p.Logged(`"INFO"`, takesAgain) })
	s.journal.AwaitAbout(t, "fire", "later", 1)
	s.journal.AwaitAbout(t, "fire", "often", before+2)
	if n := strings.Count(p.Log(), takesNone); n != 1 {
		t.Errorf("the log tells it %d times", n)
	}
}

// What runs when the disk is full can be recorded as little as what waits.
func TestAReplicaLeavesAlsoWhileJetStreamTakesNoWrites(t *testing.T) {
	t.Parallel()
	full := make(chan struct{})
	s, disk, _ := onSmallDisk(t, "", func(e journal.Event) ([]journal.Command, error) {
		if e.Event == "fire" {
			<-full
		}
		return nil, nil
	})
	p := s.process("--http", "127.0.0.1:0")
	s.do(once("runs", 0))
	s.journal.AwaitAbout(t, "fire", "runs", 1)
	s.do(every("often", often))
	disk.Fill()
	awaitReady(t, p, false)
	close(full)
	p.Signal(syscall.SIGTERM)
	ended := make(chan int, 1)
	go func() { ended <- p.Wait() }()
	select {
	case code := <-ended:
		if code != 0 {
			t.Errorf("it ends with %d", code)
		}
	case <-time.After(20 * time.Second): // of 75 that it took
		t.Error("the replica waits for writes that nobody takes")
	}
}

func TestLimitsOfJetStreamAreToldAndOverOnceTheyAreRaised(t *testing.T) {
	t.Parallel()
	s, _, _ := onSmallDisk(t, "max_file_store: 1MB", nil)
	p := s.process("--http", "127.0.0.1:0")
	fill := filled(t, s.conn)
	reason := awaitReady(t, p, false)
	if !strings.Contains(reason, "insufficient resources") || !strings.Contains(reason, "max_file_store") {
		t.Errorf("the reason is %q", reason)
	}
	fill.remove()
	awaitReady(t, p, true)
	s.do(once("after", 0))
	s.journal.AwaitAbout(t, "fire", "after", 1)
}

// nats-server can wait for itself after a write has failed, more often than not here: then the replica ends,
// and what starts it again finds everything.
func TestAnEmbeddedServerWritesAgainOrEndsAndCompiledCodeGivesWayFirst(t *testing.T) {
	disk := testenv.NewSmallDisk(t, 256<<20)
	s := newStateful(t, nil)
	data := filepath.Join(disk.Folder, "data")
	p := s.embedded(data)
	s.do(every("often", often))
	s.journal.AwaitAbout(t, "fire", "often", 1)
	compiled := filepath.Join(data, "compiled")
	before := compiledBytes(t, compiled)
	eventually(t, "compiled code gives way", func() bool {
		disk.Fill()
		return compiledBytes(t, compiled) < before/2
	})
	if ready, reason := readyz(t, p); !ready {
		t.Errorf("it is not ready while compiled code gives way: %s", reason)
	}
	eventually(t, "the replica says what to do once nothing is left that gives way", func() bool {
		disk.Fill() // also what gave way meanwhile
		ready, reason := readyz(t, p)
		return !ready && strings.Contains(reason, "make room") && strings.Contains(reason, data)
	})
	fires := len(s.journal.About("fire", "often"))
	disk.Free()
	eventually(t, "the replica is ready or ends", func() bool {
		if p.Ended() {
			return true
		}
		ready, _ := readyz(t, p)
		return ready
	})
	if p.Ended() {
		if code := p.Wait(); code != 1 || !p.Logged(`"ERROR"`, "leaving", "embedded NATS server hangs", "start pluginhost again") {
			t.Errorf("it ends with %d and says\n%s", code, p.Log())
		}
		awaitReady(t, s.embedded(data), true)
	}
	s.journal.AwaitAbout(t, "fire", "often", fires+2)
}

func compiledBytes(t *testing.T, folder string) (size int64) {
	t.Helper()
	err := filepath.WalkDir(folder, func(_ string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			size += info.Size()
		}
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return size
}

// embedded starts a replica as a process with a NATS server of its own, which is that of the
// cluster from then on.
func (s *stateful) embedded(data string) *testenv.Process {
	s.t.Helper()
	p := testenv.StartProcess(s.t, "--config", s.file(), "--listen", "127.0.0.1:0", "--plugins", s.folder, "--data", data, "--http", "127.0.0.1:0")
	s.url = p.NATS
	s.conn = testenv.Connect(s.t, s.url)
	s.client = client.New(s.conn)
	return p
}

// filler is a stream that somebody else has filled.
type filler struct {
	t  *testing.T
	js jetstream.JetStream
}

// filled fills a stream of somebody else until the server takes no more.
func filled(t *testing.T, conn *nats.Conn) filler {
	t.Helper()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "FOREIGN", Subjects: []string{"foreign"}}); err != nil {
		t.Fatal(err)
	}
	for size := 64 << 10; size > 0; {
		if _, err := js.Publish(t.Context(), "foreign", make([]byte, size), jetstream.WithRetryAttempts(0)); err != nil {
			size /= 2
		}
	}
	return filler{t, js}
}

// remove removes the stream.
func (f filler) remove() {
	f.t.Helper()
	if err := f.js.DeleteStream(f.t.Context(), "FOREIGN"); err != nil {
		f.t.Fatal(err)
	}
}
