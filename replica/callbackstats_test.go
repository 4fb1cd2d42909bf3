package replica_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pluginhost/pluginhost/sdk/call"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv/journal"
)

// A callback that fails is seen where one looks for what a plugin does, as nobody
// waits for its answer.
func TestFailedCallbacksAreInStatusAndInTheRecord(t *testing.T) {
	t.Parallel()
	s := newStateful(t, nil)
	r := s.start()
	if callbacks := r.Status().Plugins[0].Callbacks; callbacks != nil {
		t.Errorf("before the first: %+v", callbacks)
	}
	var fires atomic.Int64
	s.journal.On("recovers", func(journal.Event) ([]journal.Command, error) {
		if fires.Add(1) == 2 {
			return nil, errors.New("no luck the second time")
		}
		return nil, nil
	})
	s.do(every("recovers", often))
	failed := s.awaitSchedule("recovers", func(r *subjects.ScheduleRecord) bool { return r != nil && r.Error != "" })
	if failed.Failures != 1 || !strings.Contains(failed.Error, "no luck the second time") || failed.Running != nil {
		t.Errorf("the record is %+v", failed)
	}
	well := s.awaitSchedule("recovers", func(r *subjects.ScheduleRecord) bool { return r != nil && r.Failures == 1 && r.Error == "" })
	if well.Last.Equal(failed.Last) {
		t.Errorf("the failure is forgotten before the next fire: %+v", well)
	}
	s.do(cancel("recovers"))
	callbacks := r.Status().Plugins[0].Callbacks
	if callbacks == nil || callbacks.Requests < 3 || callbacks.Errors != 1 {
		t.Fatalf("callbacks are %+v", callbacks)
	}
	if last := callbacks.LastError; last.Method != "on_scheduler_callback" || string(last.Schedule) != "recovers" || last.Connection != nil ||
		!strings.Contains(last.Error, "no luck the second time") || last.Time.IsZero() {
		t.Errorf("the last error is %+v", last)
	}

	g := newGateway(t)
	s.journal.On("c", func(e journal.Event) ([]journal.Command, error) {
		if e.Event == "text" {
			return nil, errors.New("no luck with it")
		}
		return nil, nil
	})
	peer, _ := g.open(s, "c")
	peer.says(t, "anything")
	s.journal.AwaitAbout(t, "text", "c", 1)
	eventually(t, "the connection's callback has failed", func() bool { return r.Status().Plugins[0].Callbacks.Errors == 2 })
	if last := r.Status().Plugins[0].Callbacks.LastError; last.Method != "on_text_message" || string(last.Connection) != "c" || last.Schedule != nil {
		t.Errorf("the last error is %+v", last)
	}
}

// seen is the newest call that an observer was told of.
type seen struct{ call.Observation }

func (s *seen) Observe(o call.Observation) { s.Observation = o }

func TestOnInitIsObservedAsOtherCallsAre(t *testing.T) {
	t.Parallel()
	var fails atomic.Bool
	s := newStateful(t, func(e journal.Event) ([]journal.Command, error) {
		if e.Event == "init" && fails.Load() {
			return nil, errors.New("no luck with it")
		}
		return nil, nil
	})
	r := s.start()
	var o seen
	if err := r.ObserveInit(t.Context(), "p", &o); err != nil {
		t.Fatal(err)
	}
	if o.Method != "on_init" || !o.Callback || o.Origin != call.OfInit || o.Code() != 0 || o.In == 0 || o.Ran <= 0 || o.Took < o.Ran {
		t.Errorf("%+v", o)
	}
	fails.Store(true)
	err := r.ObserveInit(t.Context(), "p", &o)
	if err == nil || o.Code() != 500 || !strings.Contains(o.Err.Error(), "no luck with it") {
		t.Errorf("%v is observed as %+v", err, o)
	}
	if callbacks := r.Status().Plugins[0].Callbacks; callbacks != nil {
		t.Errorf("OnInit is counted among callbacks: %+v", callbacks)
	}
}

func TestTheAuthorOfAPluginIsToldWhatTheHostLogsOfIt(t *testing.T) {
	t.Parallel()
	s := newStateful(t, nil)
	source := filepath.Join(t.TempDir(), "source")
	if err := os.Rename(filepath.Join(s.folder, "p"), source); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(source, filepath.Join(s.folder, "p")); err != nil {
		t.Fatal(err)
	}
	s.start()
	output, err := s.conn.SubscribeSync(subjects.Event(subjects.EventOutput, "p"))
	if err == nil {
		err = s.conn.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	s.journal.On("fails", func(journal.Event) ([]journal.Command, error) { return nil, errors.New("no luck with it") })
	awaitTold := func(begins, ends string) {
		t.Helper()
		for {
			msg, err := output.NextMsg(patience)
			if err != nil {
				t.Fatalf("nothing says %q, %q: %v", begins, ends, err)
			}
			var event subjects.OutputEvent
			if err := json.Unmarshal(msg.Data, &event); err != nil {
				t.Fatal(err)
			}
			if event.Stream == subjects.StreamHost && strings.HasPrefix(event.Text, begins) && strings.HasSuffix(event.Text, ends) {
				return
			}
		}
	}
	s.do(once("fails", 0))
	awaitTold("WARN: schedule callback failed; callback: on_scheduler_callback; schedule: fails; error: ", "no luck with it")
	if _, err := s.try(every("refused", "@every 0s")); err == nil {
		t.Error("a schedule is not refused")
	}
	awaitTold("WARN: schedule refused; error: ", "a period above 0, not 0s")
	if err := os.WriteFile(filepath.Join(source, "manifest.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.client.Refresh(t.Context(), "p"); err != nil {
		t.Fatal(err)
	}
	awaitTold("ERROR: ", "a closing bracket or quote is missing")
}
