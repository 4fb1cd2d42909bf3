package wire_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
	"github.com/pluginhost/pluginhost/testenv/journal"
)

// session is a replica in a process of its own, and what the script does with it from outside.
type session struct {
	t          *testing.T
	binary     string
	url        string // of NATS
	folder     string // of plugins
	config     string // the configuration file
	conn       *nats.Conn
	recorder   *recorder
	transcript *transcript
	journal    *journal.Journal
	gateway    *gateway
	replica    *testenv.Process
	begun      int // how many messages had passed when the step began
}

// newSession starts a NATS server and all that a replica needs.
func newSession(t *testing.T, binary string) *session {
	t.Helper()
	s := &session{t: t, binary: binary, folder: t.TempDir(), transcript: newTranscript(), gateway: newGateway(t)}
	s.url = testenv.StartNATSProcess(t, t.TempDir(), "").URL()
	s.conn = testenv.Connect(t, s.url, nats.CustomInboxPrefix(ownInbox))
	s.recorder = startRecorder(t, s.url)
	s.journal = journal.Start(t, nil)
	reason := map[string]any{"reason": "test"}
	testenv.AddPlugin(t, s.folder, "probe", testenv.Manifest(nil, plugin.MetadataAgent, plugin.Scrobbler), guests.Wasm(t, guests.Probe))
	testenv.AddPlugin(t, s.folder, "services", testenv.Manifest(map[string]any{
		"cache": reason, "artwork": reason, "subsonicapi": map[string]any{"reason": "test", "allowAdmins": true},
	}, plugin.MetadataAgent), guests.Wasm(t, guests.Services))
	testenv.AddPlugin(t, s.folder, "ticker", journal.Manifest(), guests.Wasm(t, guests.Stateful))
	s.config = filepath.Join(t.TempDir(), "pluginhost.toml")
	s.configure("")
	for name, value := range map[string]string{
		"nats": s.url, "journal": s.journal.URL(), "gateway": s.gateway.url(), "folder": s.folder, "config": s.config,
	} {
		s.transcript.know(name, value)
	}
	return s
}

// configure writes the configuration file, with more in it.
func (s *session) configure(more string) {
	s.t.Helper()
	content := testenv.SharedCache + "[Navidrome]\nSubsonic = \"bus\"\nArtwork = \"bus\"\n" +
		"[PluginConfig.ticker]\njournal = \"" + s.journal.URL() + "\"\n" + more
	if err := os.WriteFile(s.config, []byte(content), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// serve starts the replica.
func (s *session) serve() {
	s.t.Helper()
	s.replica = testenv.StartBinary(s.t, s.binary, "--config", s.config, "--name", "wire", "--nats", s.url,
		"--plugins", s.folder, "--data", testenv.DataFolder(s.t), "--http", "")
}

// step does something and adds what passes meanwhile to the transcript.
func (s *session) step(title string, do func()) {
	s.t.Helper()
	s.transcript.title(title)
	do()
	s.recorder.settle()
	passed := s.recorder.since(s.begun)
	s.begun += len(passed)
	s.transcript.messages(passed)
}

// await waits for messages of the step on subjects that begin so.
func (s *session) await(count int, prefix string) {
	s.t.Helper()
	s.recorder.await(s.t, s.begun, count, prefix, func(m *nats.Msg) bool { return strings.HasPrefix(m.Subject, prefix) })
}

// awaitRemoval waits until keys of a bucket that begin so are removed in the step.
func (s *session) awaitRemoval(count int, prefix string) {
	s.t.Helper()
	s.recorder.await(s.t, s.begun, count, "the removal of "+prefix, func(m *nats.Msg) bool {
		return strings.HasPrefix(m.Subject, prefix) && m.Header.Get("KV-Operation") != ""
	})
}

// heartbeat adds what the replica says of itself once all that it has seen is in it.
func (s *session) heartbeat() {
	s.t.Helper()
	now := s.recorder.count()
	beats := s.recorder.await(s.t, now, 2, "a heartbeat", func(m *nats.Msg) bool { return strings.HasPrefix(m.Subject, heartbeats) })
	last := beats[len(beats)-1]
	s.transcript.document("the heartbeat, "+last.Subject, content(last))
}

// ask sends a request and waits for so many answers.
func (s *session) ask(subject, data string, header nats.Header, answers int) {
	s.t.Helper()
	s.askFrom(s.conn.NewInbox(), subject, data, header, answers)
}

// askFrom is ask with the subject of the answers.
func (s *session) askFrom(inbox, subject, data string, header nats.Header, answers int) {
	s.t.Helper()
	replies, err := s.conn.SubscribeSync(inbox)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = replies.Unsubscribe() }()
	if err := s.conn.PublishMsg(&nats.Msg{Subject: subject, Reply: inbox, Header: header, Data: []byte(data)}); err != nil {
		s.t.Fatal(err)
	}
	for range answers {
		if _, err := replies.NextMsg(patience); err != nil {
			s.t.Fatalf("%s: %v\n%s", subject, err, s.replica.Log())
		}
	}
	// What the recorder has not heard yet would be part of the next step.
	s.recorder.await(s.t, s.begun, answers, "an answer", func(m *nats.Msg) bool { return m.Subject == inbox })
}

// call calls a method with JSON.
func (s *session) call(subject, data string) {
	s.t.Helper()
	s.ask(subject, data, nats.Header{"Content-Type": {"application/json"}}, 1)
}

// have has a guest do something: the name in its request for a biography.
func (s *session) have(id string, command any) {
	s.t.Helper()
	name, err := json.Marshal(command)
	if err != nil {
		s.t.Fatal(err)
	}
	request, err := json.Marshal(map[string]string{"name": string(name)})
	if err != nil {
		s.t.Fatal(err)
	}
	s.call("plugins."+id+".get_artist_biography", string(request))
}

// run runs the command line and adds what it prints.
func (s *session) run(args ...string) {
	s.t.Helper()
	cmd := exec.Command(s.binary, args...)
	cmd.Dir = s.t.TempDir()
	cmd.Env = append(os.Environ(), "PLUGINHOST_CONFIG=", "PLUGINHOST_NATS="+s.url, "PLUGINHOST_INBOX_PREFIX="+cliInbox)
	var out, problem bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problem
	if err := cmd.Run(); err != nil {
		s.t.Fatalf("%v: %v\n%s%s", args, err, out.String(), problem.String())
	}
	s.transcript.document("$ pluginhost "+strings.Join(args, " "), out.String())
}
