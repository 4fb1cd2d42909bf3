package replica_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/replica"
	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
	"github.com/pluginhost/pluginhost/testenv/journal"
)

// stateful is a cluster of replicas, in this process and others, with the guest
// stateful as plugin p.
type stateful struct {
	t       *testing.T
	url     string
	folder  string
	journal *journal.Journal
	conn    *nats.Conn
	// client calls the plugin on any replica.
	client    *client.Client
	announced *announcements
	log       *log // of the replicas in this process
}

func newStateful(t *testing.T, answer journal.Answer) *stateful {
	t.Helper()
	return newStatefulAt(t, testenv.NATS(t), answer)
}

// newStatefulAt is newStateful with the NATS server at a URL.
func newStatefulAt(t *testing.T, url string, answer journal.Answer) *stateful {
	t.Helper()
	s := &stateful{t: t, url: url, folder: t.TempDir(), journal: journal.Start(t, answer), log: &log{}}
	testenv.AddPlugin(t, s.folder, "p", journal.Manifest(), guests.Wasm(t, guests.Stateful))
	s.conn = testenv.Connect(t, s.url)
	s.client = client.New(s.conn)
	s.announced = listen(t, s.conn)
	return s
}

// in is the same cluster, for a part of the test.
func (s *stateful) in(t *testing.T) *stateful {
	part := *s
	part.t = t
	return &part
}

// setup is that of a replica.
func (s *stateful) setup(prepare ...func(*setup)) setup {
	s.t.Helper()
	with := setup{Config: testenv.Config(s.t, s.url, s.folder)}
	with.Plugins.Watch = false
	with.PluginConfig = map[string]map[string]string{"p": {"journal": s.journal.URL()}}
	for _, change := range prepare {
		change(&with)
	}
	return with
}

// start starts a replica.
func (s *stateful) start(prepare ...func(*setup)) *replica.Replica {
	s.t.Helper()
	with := s.setup(prepare...)
	return testenv.Start(s.t, with.Config, io.MultiWriter(s.log, s.t.Output()), with.options...)
}

// starting starts replicas at once, and returns what waits for them.
func (s *stateful) starting(count int, prepare ...func(*setup)) (wait func() []*replica.Replica) {
	s.t.Helper()
	type outcome struct {
		replica *replica.Replica
		err     error
	}
	outcomes := make(chan outcome, count)
	logger := slog.New(slog.NewTextHandler(io.MultiWriter(s.log, s.t.Output()), nil))
	ctx, cancel := context.WithCancel(s.t.Context())
	var begun sync.WaitGroup
	for range count {
		with := s.setup(prepare...)
		begun.Go(func() {
			r, err := replica.Start(ctx, with.Config, logger, with.options...)
			outcomes <- outcome{r, err}
		})
	}
	s.t.Cleanup(func() {
		cancel() // those that nobody has waited for
		begun.Wait()
		close(outcomes)
		for left := range outcomes {
			if left.err == nil {
				_ = left.replica.Drain(context.Background())
			}
		}
	})
	return func() []*replica.Replica {
		s.t.Helper()
		var replicas []*replica.Replica
		for range count {
			o := <-outcomes
			if o.err != nil {
				s.t.Fatal(o.err)
			}
			s.t.Cleanup(func() {
				if err := o.replica.Drain(context.Background()); err != nil {
					s.t.Error(err)
				}
			})
			replicas = append(replicas, o.replica)
		}
		return replicas
	}
}

// process starts a replica as a process of its own.
func (s *stateful) process(args ...string) *testenv.Process {
	s.t.Helper()
	return testenv.StartProcess(s.t, append([]string{"--config", s.file(), "--nats", s.url, "--plugins", s.folder, "--data", testenv.DataFolder(s.t), "--http", ""}, args...)...)
}

// file is the configuration file of a replica that is a process.
func (s *stateful) file() string {
	s.t.Helper()
	file := filepath.Join(s.t.TempDir(), "host.toml")
	content := fmt.Sprintf("%s[PluginConfig.p]\njournal = %q\n", testenv.SharedCache, s.journal.URL())
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return file
}

// try has the plugin do something.
func (s *stateful) try(command journal.Command) (journal.Result, error) {
	s.t.Helper()
	name, err := json.Marshal(command)
	if err != nil {
		s.t.Fatal(err)
	}
	var result journal.Result
	answer, err := s.client.MetadataAgent("p").GetArtistBiography(s.t.Context(), &api.ArtistBiographyRequest{Name: string(name)})
	if err == nil {
		err = json.Unmarshal([]byte(answer.Biography), &result)
	}
	return result, err
}

// do is try with something that works.
func (s *stateful) do(command journal.Command) journal.Result {
	s.t.Helper()
	result, err := s.try(command)
	if err != nil || !result.OK {
		s.t.Fatalf("%+v: %+v, %v", command, result, err)
	}
	return result
}

// fails has the plugin do something that is refused with an error in the response.
func (s *stateful) fails(command journal.Command) string {
	s.t.Helper()
	result, err := s.try(command)
	if err != nil || result.OK || result.Error == "" {
		s.t.Errorf("%s %.50q: %+v, %v", command.Do, command.ID, result, err)
	}
	return result.Error
}

// doWhere is do that tells which replica was asked.
func (s *stateful) doWhere(command journal.Command) (on string) {
	s.t.Helper()
	on, err := s.tryWhere(command)
	if err != nil {
		s.t.Fatalf("%+v on %s: %v", command, on, err)
	}
	return on
}

// tryWhere can be called by any goroutine.
func (s *stateful) tryWhere(command journal.Command) (on string, err error) {
	name, err := json.Marshal(command)
	if err != nil {
		return "", err
	}
	request, err := json.Marshal(map[string]string{"name": string(name)})
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	reply, err := s.conn.RequestWithContext(ctx, subjects.Call("p", biography), request)
	if err != nil {
		return "", err
	}
	on = reply.Header.Get(subjects.HeaderReplica)
	if code, err := strconv.Atoi(reply.Header.Get(subjects.HeaderErrorCode)); err == nil {
		return on, subjects.FromCode(code, reply.Header.Get(subjects.HeaderError))
	}
	var answer struct{ Biography string }
	var result journal.Result
	if err := json.Unmarshal(reply.Data, &answer); err != nil {
		return on, err
	}
	if err := json.Unmarshal([]byte(answer.Biography), &result); err != nil {
		return on, err
	}
	if !result.OK {
		return on, errors.New(result.Error)
	}
	return on, nil
}

// bucket is a KV bucket of the replicas.
func (s *stateful) bucket(name string) jetstream.KeyValue {
	s.t.Helper()
	js, err := jetstream.New(s.conn)
	if err != nil {
		s.t.Fatal(err)
	}
	// A server that has just started takes requests before it answers them.
	for deadline := time.Now().Add(patience); ; {
		ctx, cancel := context.WithTimeout(s.t.Context(), time.Second)
		kv, err := js.KeyValue(ctx, name)
		cancel()
		if err == nil {
			return kv
		}
		if !errors.Is(err, context.DeadlineExceeded) || time.Now().After(deadline) {
			s.t.Fatal(err)
		}
	}
}

// awaitRecord waits until the record under a key is as it should be; nil is none.
func awaitRecord[T any](s *stateful, bucket, key string, is func(*T) bool) *T {
	s.t.Helper()
	return awaitWatched(s, s.watch(bucket, key), is)
}

// watch begins to watch a record.
func (s *stateful) watch(bucket, key string) jetstream.KeyWatcher {
	s.t.Helper()
	watcher, err := s.bucket(bucket).Watch(s.t.Context(), key)
	if err != nil {
		s.t.Fatal(err)
	}
	return watcher
}

// awaitWatched is awaitRecord of a record that is watched already, and ends that.
func awaitWatched[T any](s *stateful, watcher jetstream.KeyWatcher, is func(*T) bool) *T {
	s.t.Helper()
	defer func() { _ = watcher.Stop() }()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	var record *T
	for {
		select {
		case entry := <-watcher.Updates():
			switch {
			case entry == nil: // that was all there is
			case entry.Operation() != jetstream.KeyValuePut:
				record = nil
			default:
				record = new(T)
				if err := json.Unmarshal(entry.Value(), record); err != nil {
					s.t.Fatal(err)
				}
			}
			if (entry == nil || record != nil) && is(record) || entry != nil && record == nil && is(nil) {
				return record
			}
		case <-timeout.C:
			s.t.Fatalf("the record stays %+v", record)
		}
	}
}

// awaitSchedule waits until the record of a schedule is as it should be.
func (s *stateful) awaitSchedule(id string, is func(*subjects.ScheduleRecord) bool) *subjects.ScheduleRecord {
	s.t.Helper()
	return awaitRecord(s, subjects.ScheduleBucket, subjects.ScheduleKey("p", id), is)
}

// awaitSocket waits until the record of a connection is as it should be.
func (s *stateful) awaitSocket(id string, is func(*subjects.SocketRecord) bool) *subjects.SocketRecord {
	s.t.Helper()
	return awaitRecord(s, subjects.StateBucket, subjects.SocketKey("p", id), is)
}

func isNone[T any](record *T) bool  { return record == nil }
func isThere[T any](record *T) bool { return record != nil }

// ran waits until a schedule is over, and says how often it fired.
func (s *stateful) ran(id string) int {
	s.t.Helper()
	s.awaitSchedule(id, isNone)
	return len(s.journal.About("fire", id))
}

// finals waits until the plugin was told the end of a connection, and returns what
// it was told.
func (s *stateful) finals(id string) []journal.Event {
	s.t.Helper()
	s.awaitSocket(id, isNone)
	return append(s.journal.About("close", id), s.journal.About("error", id)...)
}

// caughtUp waits until replicas know what is in the bucket of state now.
func (s *stateful) caughtUp(replicas ...*replica.Replica) {
	s.t.Helper()
	before := make([]int, len(replicas))
	for i, r := range replicas {
		before[i] = r.Status().Replicas
	}
	kv, key := s.bucket(subjects.StateBucket), subjects.HeartbeatKey("nobody-"+nats.NewInbox())
	if _, err := kv.Put(s.t.Context(), key, []byte(`{"v":1,"replica":"nobody"}`)); err != nil {
		s.t.Fatal(err)
	}
	for i, r := range replicas {
		eventually(s.t, "the replica sees another one", func() bool { return r.Status().Replicas > before[i] })
	}
	if err := kv.Purge(s.t.Context(), key); err != nil {
		s.t.Fatal(err)
	}
}

// log is what replicas log.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// has says whether there is a line with all these parts.
func (l *log) has(parts ...string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.text.String()) {
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

// announcement is an event of a replica: what it tells of a schedule or a plugin.
type announcement struct {
	kind subjects.EventKind
	subjects.ScheduleEvent
	Error string `json:"error"`
}

// announcements are the events of all replicas so far.
type announcements struct {
	mu    sync.Mutex
	all   []announcement
	heard chan struct{} // closed at the next one
}

func listen(t *testing.T, conn *nats.Conn) *announcements {
	t.Helper()
	a := &announcements{heard: make(chan struct{})}
	_, err := conn.Subscribe("pluginhost.event.>", func(msg *nats.Msg) {
		next := announcement{kind: subjects.EventKind(strings.Split(msg.Subject, ".")[2])}
		_ = json.Unmarshal(msg.Data, &next)
		a.mu.Lock()
		defer a.mu.Unlock()
		a.all = append(a.all, next)
		close(a.heard)
		a.heard = make(chan struct{})
	})
	if err == nil {
		err = conn.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// of are those of a kind about a schedule; empty is about the plugin.
func (a *announcements) of(kind subjects.EventKind, schedule string) []announcement {
	a.mu.Lock()
	defer a.mu.Unlock()
	var of []announcement
	for _, one := range a.all {
		if one.kind == kind && one.ID == "p" && string(one.Schedule) == schedule {
			of = append(of, one)
		}
	}
	return of
}

// await waits for so many of them.
func (a *announcements) await(t *testing.T, kind subjects.EventKind, schedule string, count int) []announcement {
	t.Helper()
	of := a.until(time.After(patience), kind, schedule, count)
	if len(of) < count {
		t.Fatalf("%d times %s of %q is not announced", count, kind, schedule)
	}
	return of
}

// until waits for so many of them, until it is over.
func (a *announcements) until(over <-chan time.Time, kind subjects.EventKind, schedule string, count int) []announcement {
	for {
		a.mu.Lock()
		heard := a.heard
		a.mu.Unlock()
		of := a.of(kind, schedule)
		if len(of) >= count {
			return of
		}
		select {
		case <-heard:
		case <-over:
			return of
		}
	}
}
