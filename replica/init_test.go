package replica_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/pluginhost/pluginhost/config"
	"github.com/pluginhost/pluginhost/replica"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
	"github.com/pluginhost/pluginhost/testenv/journal"
)

// ready says that all replicas serve the plugin.
func (s *stateful) ready(replicas ...*replica.Replica) {
	s.t.Helper()
	for _, r := range replicas {
		if status := r.Status().Plugins[0]; status.State != subjects.StateReady || status.Error != "" {
			s.t.Errorf("%s: %s %s", r.ID(), status.State, status.Error)
		}
	}
}

// inits says whether OnInit has run so often.
func (s *stateful) inits(want int) {
	s.t.Helper()
	if inits := s.journal.Of("init"); len(inits) != want {
		s.t.Errorf("OnInit ran %d times, want %d", len(inits), want)
	}
}

func TestOnInitRunsOnceForAGeneration(t *testing.T) {
	t.Parallel()
	s := newStateful(t, nil)
	three := s.starting(3)()
	s.ready(three...)
	s.inits(1)
	// Who was away finds it done, and so do refreshes.
	if err := three[0].Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	three[0] = s.start()
	s.ready(three...)
	answers, err := s.client.Refresh(t.Context(), "p")
	if err != nil || len(answers) != 3 {
		t.Fatalf("%+v, %v", answers, err)
	}
	for _, answer := range answers {
		if answer.Outcome != subjects.OutcomeLoaded {
			t.Errorf("%+v", answer)
		}
	}
	s.inits(1)
	for _, r := range three {
		config := r.Config()
		config.PluginConfig = map[string]map[string]string{"p": {"journal": s.journal.URL(), "other": "setting"}}
		if changed, err := r.Reconfigure(t.Context(), config); err != nil || len(changed.Loaded) != 1 {
			t.Fatalf("%+v, %v", changed, err)
		}
	}
	s.ready(three...)
	s.inits(2) // of another generation
}

// What the OnInit of other settings has planned and connected is in force: going back
// runs that of the former ones again, once, when the last replica has left them.
func TestOnInitRunsAgainForSettingsThatOneGoesBackTo(t *testing.T) {
	t.Parallel()
	s := newStateful(t, nil)
	two := s.starting(2)()
	set := func(r *replica.Replica, other string) {
		t.Helper()
		config := r.Config()
		config.PluginConfig = map[string]map[string]string{"p": {"journal": s.journal.URL(), "other": other}}
		if changed, err := r.Reconfigure(t.Context(), config); err != nil || len(changed.Loaded) != 1 {
			t.Fatalf("%+v, %v", changed, err)
		}
		s.ready(r)
		s.caughtUp(two...)
	}
	steps := []struct {
		replica int
		other   string
		inits   int
	}{
		{0, "a", 2}, {1, "a", 2},
		{0, "b", 3}, {0, "a", 3}, // the other replica serves it all the time
		{0, "b", 3}, {1, "b", 3},
		{1, "a", 4}, {0, "a", 4},
		{0, "b", 5}, {1, "b", 5},
	}
	for _, step := range steps {
		set(two[step.replica], step.other)
		s.inits(step.inits)
	}
}

func TestOnInitRunsAgainWhenNobodyIsLeft(t *testing.T) {
	t.Parallel()
	s := newStateful(t, nil)
	for run := 1; run <= 2; run++ {
		two := s.starting(2)()
		s.ready(two...)
		s.inits(run)
		for _, r := range two {
			if err := r.Drain(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A plugin whose OnInit fails serves nowhere; a refresh of all replicas runs it once
// more for all.
func TestOnInitThatFails(t *testing.T) {
	t.Parallel()
	var failure atomic.Value
	failure.Store("with an error in the response")
	s := newStateful(t, func(e journal.Event) ([]journal.Command, error) {
		switch text := failure.Load().(string); {
		case e.Event != "init" || text == "":
			return nil, nil
		case strings.HasPrefix(text, "Go"):
			return nil, journal.GoError(text)
		default:
			return nil, errors.New(text)
		}
	})
	three := s.starting(3)()
	failed := func(runs int) {
		t.Helper()
		text := failure.Load().(string)
		for _, event := range s.announced.await(t, subjects.EventFailed, "", 3*runs)[3*(runs-1):] {
			if !strings.Contains(event.Error, "OnInit: "+text) || !strings.Contains(event.Error, "[PluginConfig.p]") {
				t.Errorf("announced is %s", event.Error)
			}
		}
		for _, r := range three {
			if status := r.Status().Plugins[0]; status.State != subjects.StateFailed || !strings.Contains(status.Error, "OnInit: "+text) {
				t.Errorf("%+v", status)
			}
		}
		if _, err := s.try(journal.Command{Do: "now"}); !errors.Is(err, subjects.ErrUnavailable) || !strings.Contains(err.Error(), text) {
			t.Errorf("a call ends with %v", err)
		}
		s.inits(runs)
	}
	refresh := func(want subjects.Outcome) {
		t.Helper()
		answers, err := s.client.Refresh(t.Context(), "p")
		if err != nil || len(answers) != 3 {
			t.Fatalf("%+v, %v", answers, err)
		}
		for _, answer := range answers {
			if answer.Outcome != want {
				t.Errorf("%+v", answer)
			}
		}
	}
	failed(1)
	failure.Store("Go error in its place")
	refresh(subjects.OutcomeFailed)
	failed(2)
	failure.Store("")
	refresh(subjects.OutcomeLoaded)
	s.inits(3)
	s.ready(three...)
	s.do(journal.Command{Do: "now"})
}

func TestOnInitHasADeadline(t *testing.T) {
	t.Parallel()
	s := newStateful(t, nil)
	release := make(chan struct{})
	s.journal.On("", func(journal.Event) ([]journal.Command, error) {
		<-release
		return nil, nil
	})
	defer close(release)
	r := s.start(func(c *setup) { c.Runtime.InitTimeout = time.Second })
	status := r.Status().Plugins[0]
	if status.State != subjects.StateFailed || !strings.Contains(status.Error, "it took longer than [Runtime] InitTimeout (1s)") {
		t.Errorf("%+v", status)
	}
}

// What OnInit schedules and connects is there when it is over, and what one has
// connected that fails is not.
func TestWhatOnInitBegins(t *testing.T) {
	t.Parallel()
	for name, fails := range map[string]bool{"and succeeds": false, "and fails": true} {
		t.Run(name, func(t *testing.T) {
			s, g := newStateful(t, nil), newGateway(t)
			commands := []journal.Command{once("of init", 0), {Do: "connect", ID: []byte("of init"), URL: g.address()}}
			if fails {
				commands = append(commands, journal.Command{Do: "nonsense"})
			}
			s.journal.On("", func(e journal.Event) ([]journal.Command, error) {
				if e.Event == "init" {
					return commands, nil
				}
				return nil, nil
			})
			release := s.journal.Hold(t, "done", "")
			two := s.starting(2)
			p := g.accept(t)
			s.journal.AwaitCount(t, "done", 1)
			p.says(t, "early")
			release()
			replicas := two()
			if fails {
				if code, _ := p.end(t); code != websocket.CloseAbnormalClosure {
					t.Errorf("the server is told %d", code)
				}
				s.awaitSocket("of init", isNone)
				if heard := len(s.journal.Of("text")) + len(s.journal.Of("close")) + len(s.journal.Of("error")); heard > 0 {
					t.Errorf("the plugin hears %+v", s.journal.Events())
				}
				return
			}
			s.ready(replicas...)
			if texts := s.journal.AwaitAbout(t, "text", "of init", 1); string(texts[0].Payload) != "early" {
				t.Errorf("%+v", texts)
			}
			if n := s.ran("of init"); n != 1 {
				t.Errorf("it fires %d times", n)
			}
			// Neither comes before OnInit is over.
			if first := s.journal.Events()[:2]; first[0].Event != "init" || first[1].Event != "done" {
				t.Errorf("%+v", s.journal.Events())
			}
			p.reaches(s, "of init", 2)
			s.inits(1)
		})
	}
}

// The OnInit of a new generation takes over a connection of the one that serves, and
// fails: who serves on has lost it, and is told.
func TestOnInitThatFailsWithTheConnectionOfAnother(t *testing.T) {
	t.Parallel()
	s, g := newStateful(t, nil), newGateway(t)
	r := s.start()
	p, _ := g.open(s, "taken")
	s.journal.On("", func(e journal.Event) ([]journal.Command, error) {
		if e.Event == "init" {
			return []journal.Command{{Do: "connect", ID: []byte("taken"), URL: g.address()}, {Do: "nonsense"}}, nil
		}
		return nil, nil
	})
	testenv.AddPlugin(t, s.folder, "p", append(journal.Manifest(), '\n'), guests.Wasm(t, guests.Stateful))
	if err := r.Refresh(t.Context(), "p"); err == nil {
		t.Error("it is loaded")
	}
	p.end(t)
	g.accept(t).end(t)
	if finals := s.finals("taken"); len(finals) != 1 || finals[0].Event != "error" {
		t.Errorf("the plugin is told %+v", finals)
	}
}

// Another replica runs OnInit when the one dies or stalls that does; one that comes
// back makes nothing of it.
func TestOnInitRunsOnceMoreWithoutItsReplica(t *testing.T) {
	t.Parallel()
	for name, signal := range map[string]syscall.Signal{"killed": syscall.SIGKILL, "stalled": syscall.SIGSTOP} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStateful(t, nil)
			testenv.RemovePlugin(t, s.folder, "p")
			lost := s.process()
			release := s.journal.Hold(t, "init", "")
			testenv.AddPlugin(t, s.folder, "p", journal.Manifest(), guests.Wasm(t, guests.Stateful))
			if err := s.conn.Publish(subjects.ControlRefresh("p"), nil); err != nil {
				t.Fatal(err)
			}
			s.journal.AwaitCount(t, "init", 1)
			var record *subjects.InitRecord
			other := s.starting(1, func(c *setup) { c.Runtime = config.Default().Runtime })
			lost.Signal(signal)
			s.journal.AwaitCount(t, "init", 2)
			r := other()[0]
			s.ready(r)
			key := subjects.InitKey("p", r.Status().Plugins[0].Generation)
			record = awaitRecord(s, subjects.StateBucket, key, isThere[subjects.InitRecord])
			if record.State != subjects.InitDone || record.Replica != r.ID() || record.Attempt != 2 {
				t.Errorf("%+v", record)
			}
			if signal == syscall.SIGSTOP {
				lost.Signal(syscall.SIGCONT)
			}
			release()
			if signal == syscall.SIGSTOP {
				s.announced.await(t, subjects.EventLoaded, "", 2)
				lost.Signal(syscall.SIGTERM)
				if code := lost.Wait(); code != 0 {
					t.Errorf("it ends with %d\n%s", code, lost.Log())
				}
			}
			s.inits(2)
			if after := awaitRecord(s, subjects.StateBucket, key, isThere[subjects.InitRecord]); *after != *record {
				t.Errorf("the record becomes %+v", after)
			}
		})
	}
}
