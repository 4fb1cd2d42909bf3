package bus_test

import (
	"strings"
	"sync"
	"testing"

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
func (x *runnerTest) setLate(schedule string) (answer func()) {
	x.t.Helper()
	written, again, answered := false, make(chan struct{}), make(chan struct{})
	heard := sync.OnceFunc(func() { close(answered) })
	asked := sync.OnceFunc(func() { close(again) })
	link := testenv.StartNATSLink(x.t, x.url, func(l *testenv.NATSLink, subject string) bool {
		switch {
		case subject == "$KV.pluginhost-schedules."+subjects.ScheduleKey("p", schedule) && !written:
			written = true
			l.Hold()
		case written && !strings.HasPrefix(subject, "$JS.API.STREAM.INFO."): // those look at the watch
			asked()
			<-answered
		}
		return true
	})
	x.t.Cleanup(heard)
	deaf := openSchedules(x.t, open(x.t, link.URL()))
	ended := make(chan error, 1)
	go func() {
		ended <- deaf.Set(x.t.Context(), subjects.ScheduleRecord{Plugin: "p", Schedule: []byte(schedule), Created: planned(0), Due: planned(1)}, 100)
	}()
	return func() {
		<-again
		heard()
		link.Release()
		x.t.Logf("it ends with %v", <-ended) // it may be known or not
	}
}
