package schedule_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/bus/schedule"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
)

// The write of a schedule is carried out, and its acknowledgement comes only when the
// schedule has fired and is gone, or was cancelled.
func TestALateAcknowledgementBringsNoScheduleBack(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		what string
		ends func(x *runnerTest)
	}{
		{"that has fired", func(x *runnerTest) {
			x.runner("r1", atOnce)
			x.mustFire(*x.record("s"), planned(1), 1)
			x.ran()
			x.awaitRecord("s", isGone)
		}},
		{"that was cancelled", func(x *runnerTest) {
			if found, err := x.Cancel(x.t.Context(), "p", "s"); !found || err != nil {
				x.t.Fatal(found, err)
			}
		}},
	} {
		for _, before := range []string{"where there was none", "in the place of another"} {
			t.Run(test.what+", set "+before, func(t *testing.T) {
				t.Parallel()
				x := newRunnerTest(t)
				former := ""
				if before == "in the place of another" {
					former = x.set("s", "").Set
				}
				late := x.setLate("s")
				x.awaitRecord("s", func(r *subjects.ScheduleRecord) bool { return r != nil && r.Set != former })
				test.ends(x)
				late()
				if record := x.record("s"); record != nil {
					t.Errorf("it is there again: %+v", record)
				}
			})
		}
	}
}

// setLate sets a schedule on a connection that hears nothing of it. What is returned
// lets the answers come, once the connection has asked for them again, and waits for the
// end.
func (x *runnerTest) setLate(id string) (answer func()) {
	x.t.Helper()
	written, again, answered := false, make(chan struct{}), make(chan struct{})
	heard := sync.OnceFunc(func() { close(answered) })
	asked := sync.OnceFunc(func() { close(again) })
	link := testenv.StartNATSLink(x.t, x.url, func(l *testenv.NATSLink, subject string) bool {
		switch {
		case subject == "$KV.pluginhost-schedules."+subjects.ScheduleKey("p", id) && !written:
			written = true
			l.Hold()
		case written && !strings.HasPrefix(subject, "$JS.API.STREAM.INFO."): // those look at the watch
			asked()
			<-answered
		}
		return true
	})
	x.t.Cleanup(heard)
	deaf := openSchedules(x.t, testenv.Bus(x.t, link.URL()))
	ended := make(chan error, 1)
	go func() {
		ended <- deaf.Set(x.t.Context(), subjects.ScheduleRecord{Plugin: "p", Schedule: []byte(id), Created: planned(0), Due: planned(1)}, schedule.Limit{Max: 100})
	}()
	return func() {
		<-again
		heard()
		link.Release()
		x.t.Logf("it ends with %v", <-ended) // it may be known or not
	}
}

// A replica stalls between the write of a schedule and the end of Set, and hears first
// what became of it.
func TestAScheduleThatIsGoneIsNotCounted(t *testing.T) {
	t.Parallel()
	x := newRunnerTest(t)
	x.set("s", "")
	key := subjects.ScheduleKey("p", "s")
	entry, err := x.records.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if found, err := openSchedules(t, testenv.Bus(t, x.url)).Cancel(t.Context(), "p", "s"); !found || err != nil {
		t.Fatal(found, err)
	}
	for timeout := time.After(wait); x.Count("p") > 0; {
		select {
		case <-time.After(time.Millisecond):
		case <-timeout:
			t.Fatal("it is not heard to be gone")
		}
	}
	x.Wrote(key, "p", entry.Revision())
	if n := x.Count("p"); n != 0 {
		t.Errorf("%d are counted", n)
	}
}

func TestWhoCancelsAScheduleMaySetAnother(t *testing.T) {
	t.Parallel()
	x := newRunnerTest(t)
	for range 100 {
		for _, id := range []string{"s", "t"} {
			err := x.Set(t.Context(), subjects.ScheduleRecord{Plugin: "p", Schedule: []byte(id), Created: planned(0), Due: planned(1)}, schedule.Limit{Max: 1})
			if err != nil {
				t.Fatal(err)
			}
			if found, err := x.Cancel(t.Context(), "p", id); !found || err != nil {
				t.Fatal(found, err)
			}
		}
	}
}

// A stream that is full refuses at once: that is asked for again now and then.
func TestARefusedWriteIsNotRepeatedWithoutAPause(t *testing.T) {
	t.Parallel()
	x := newRunnerTest(t)
	js, err := jetstream.New(testenv.Connect(t, x.url))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), "KV_pluginhost-schedules")
	if err != nil {
		t.Fatal(err)
	}
	full := stream.CachedInfo().Config
	full.MaxBytes = 1
	if _, err := js.UpdateStream(t.Context(), full); err != nil {
		t.Fatal(err)
	}
	var writes atomic.Int64
	link := testenv.StartNATSLink(t, x.url, func(_ *testenv.NATSLink, subject string) bool {
		if strings.HasPrefix(subject, "$KV.") {
			writes.Add(1)
		}
		return true
	})
	schedules := openSchedules(t, testenv.Bus(t, link.URL()))
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	err = schedules.Set(ctx, subjects.ScheduleRecord{Plugin: "p", Schedule: []byte("s"), Created: planned(0), Due: planned(1)}, schedule.Limit{Max: 1})
	var refused *jetstream.APIError
	if !errors.As(err, &refused) {
		t.Errorf("got %v, want what the server says", err)
	}
	if n := writes.Load(); n < 1 || n > 15 {
		t.Errorf("it was written %d times in a second", n)
	}
}
