package replica_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/config"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/journal"
)

// Each of many schedules that are due at once fires once, on whichever replica.
func TestReplicasShareTheFires(t *testing.T) {
	t.Parallel()
	s := newStateful(t, nil)
	s.start()
	s.start()
	const count = 400
	watcher, err := s.bucket(subjects.ScheduleBucket).Watch(t.Context(), subjects.ScheduleKeys("p"))
	if err != nil {
		t.Fatal(err)
	}
	ran := make(chan map[string]int, 1)
	go func() { ran <- s.runners(watcher, count) }()
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() {
			for i := worker; i < count; i += 8 {
				if _, err := s.tryWhere(once(fmt.Sprint("many", i), 0)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	s.journal.AwaitCount(t, "fire", count)
	runners := <-ran
	fires := map[string]int{}
	for _, fire := range s.journal.Of("fire") {
		fires[string(fire.ID)]++
	}
	for id, n := range fires {
		if n != 1 {
			t.Errorf("%s fires %d times", id, n)
		}
	}
	if len(fires) != count || len(runners) != 2 {
		t.Errorf("%d fire, run by %v", len(fires), runners)
	}
}

// runners counts the claims of replicas until so many schedules are gone.
func (s *stateful) runners(watcher jetstream.KeyWatcher, count int) map[string]int {
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	runners := map[string]int{}
	for gone := 0; gone < count; {
		select {
		case <-timeout.C:
			s.t.Errorf("%d schedules stay", count-gone)
			return runners
		case entry := <-watcher.Updates():
			var record subjects.ScheduleRecord
			switch {
			case entry == nil:
			case entry.Operation() != jetstream.KeyValuePut:
				gone++
			case json.Unmarshal(entry.Value(), &record) != nil:
				s.t.Errorf("record %s", entry.Value())
			case record.Running != nil:
				runners[record.Running.Replica]++
			}
		}
	}
	return runners
}

// The record of a schedule is all that is left when no replica is. What fell due
// meanwhile fires once.
func TestSchedulesOutliveTheOnlyReplica(t *testing.T) {
	t.Parallel()
	s := newStateful(t, nil)
	only := s.start()
	s.do(once("once", 1000))
	s.do(every("hourly", "@hourly"))
	s.do(once("later", 100_000))
	if err := only.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	hours := func(n int) time.Duration { return time.Duration(n) * time.Hour }
	s.rewrite("once", func(r *subjects.ScheduleRecord) { r.Due = r.Due.Add(-hours(1)) })
	s.rewrite("hourly", func(r *subjects.ScheduleRecord) { r.Created = r.Created.Add(-hours(5)) })
	s.start()
	if n := s.ran("once"); n != 1 {
		t.Errorf("the one-time schedule fires %d times", n)
	}
	if fires := s.journal.AwaitAbout(t, "fire", "hourly", 1); len(fires) != 1 || !fires[0].Recurring {
		t.Errorf("%+v", fires)
	}
	for id, skipped := range map[string]uint64{"once": 0, "hourly": 4} {
		missed := s.announced.await(t, subjects.EventScheduleMissed, id, 1)
		late, err := time.ParseDuration(missed[0].Late)
		if len(missed) != 1 || missed[0].Skipped != skipped || err != nil || late <= 0 {
			t.Errorf("announced is %+v", missed)
		}
	}
	record := s.awaitSchedule("hourly", func(r *subjects.ScheduleRecord) bool { return r.Running == nil && !r.Last.IsZero() })
	if record.Missed != 4 || !record.Last.Equal(time.Now().Truncate(time.Hour)) && time.Since(record.Last) > hours(1) {
		t.Errorf("%+v", record)
	}
	if fires := s.journal.About("fire", "later"); len(fires) > 0 {
		t.Error("a schedule fires that is not due")
	}
	s.do(cancel("later"))
}

// rewrite changes the record of a schedule as time does while nobody runs.
func (s *stateful) rewrite(id string, change func(*subjects.ScheduleRecord)) {
	s.t.Helper()
	record := s.awaitSchedule(id, isThere)
	change(record)
	body, err := json.Marshal(record)
	if err == nil {
		_, err = s.bucket(subjects.ScheduleBucket).Put(s.t.Context(), subjects.ScheduleKey("p", id), body)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

func TestLimitsAndZoneOfSchedules(t *testing.T) {
	t.Parallel()
	s := newStateful(t, nil)
	s.start(func(c *setup) {
		c.Scheduler = config.Scheduler{TimeZone: "America/New_York", MaxSchedules: 3, MaxPayload: 10}
	})
	testTimeNow(t, s, "America/New_York")
	for _, test := range []struct {
		what    string
		command journal.Command
		fault   string // empty is none
	}{
		{"a payload that just fits", journal.Command{Do: "once", ID: []byte("1"), Delay: 1000, Payload: make([]byte, 10)}, ""},
		{"a payload that is too long", journal.Command{Do: "once", ID: []byte("2"), Delay: 1000, Payload: make([]byte, 11)}, "failed to schedule one-time job: its payload has 11 bytes, [Scheduler] MaxPayload is 10"},
		{"one of a recurring one", journal.Command{Do: "every", ID: []byte("2"), Expression: "@hourly", Payload: make([]byte, 11)}, "failed to schedule recurring job: its payload has 11 bytes"},
		{"an id that just fits", journal.Command{Do: "every", ID: []byte(strings.Repeat("x", 16<<10)), Expression: "@hourly"}, ""},
		{"an id that is too long", journal.Command{Do: "once", ID: []byte(strings.Repeat("x", 16<<10+1)), Delay: 1000}, "its id has 16385 bytes, at most 16384 are taken"},
	} {
		_, err := s.try(test.command)
		if test.fault == "" && err != nil || test.fault != "" && (!errors.Is(err, subjects.ErrPlugin) || !strings.Contains(err.Error(), test.fault)) {
			t.Errorf("%s: %v, want %q", test.what, err, test.fault)
		}
	}
	if record := s.awaitSchedule("1", isThere); !record.Due.After(time.Now()) {
		t.Errorf("%+v", record)
	}
	if record := s.awaitSchedule(strings.Repeat("x", 16<<10), isThere); record.Zone != "America/New_York" {
		t.Errorf("%+v", record)
	}
	// Who fires it counts it.
	release := s.journal.Hold(t, "fire", "third")
	s.do(journal.Command{Do: "once", ID: []byte("third")})
	s.journal.AwaitAbout(t, "fire", "third", 1)
	for _, command := range []journal.Command{{Do: "once", ID: []byte("fourth")}, {Do: "every", ID: []byte("fourth"), Expression: often}} {
		if _, err := s.try(command); !errors.Is(err, subjects.ErrPlugin) || !strings.Contains(err.Error(), "limit of schedules: the plugin has 3 of 3") {
			t.Errorf("one schedule too many: %v", err)
		}
	}
	s.do(journal.Command{Do: "once", ID: []byte("1"), Delay: 2000}) // replaces one
	release()
	s.awaitSchedule("third", isNone)
	eventually(t, "there is place for another", func() bool {
		_, err := s.try(journal.Command{Do: "once", ID: []byte("fourth"), Delay: 1000})
		return err == nil
	})
}

func TestSchedulesNeedThePermission(t *testing.T) {
	t.Parallel()
	s := newStateful(t, nil)
	var manifest map[string]any
	if err := json.Unmarshal(journal.Manifest(), &manifest); err != nil {
		t.Fatal(err)
	}
	delete(manifest["permissions"].(map[string]any), "scheduler")
	body, err := json.Marshal(manifest)
	if err != nil {
		t.Fatal(err)
	}
	testenv.AddPlugin(t, s.folder, "p", body, nil)
	r := s.start()
	status := r.Status().Plugins[0]
	if status.State != subjects.StateFailed || !strings.Contains(status.Error, `add "scheduler" to the permissions in manifest.json`) {
		t.Errorf("%+v", status)
	}
	if failed := s.announced.await(t, subjects.EventFailed, "", 1); failed[0].Error != status.Error {
		t.Errorf("announced is %+v", failed)
	}
	if inits := s.journal.Of("init"); len(inits) > 0 {
		t.Error("OnInit ran")
	}
}

// Whatever a replica is told while a callback runs, that goes on and runs once.
func TestACallbackIsFinished(t *testing.T) {
	t.Parallel()
	s := newStateful(t, nil)
	first := s.start()
	leave := func() error { return first.Drain(t.Context()) }
	for _, test := range []struct {
		what      string
		prepare   func()
		meanwhile func() error
	}{
		{"while a new generation takes over", func() {}, func() error { return first.Refresh(t.Context(), "p") }},
		{"while its replica drains", func() { s.start() }, leave},
	} {
		t.Run(test.what, func(t *testing.T) {
			s := s.in(t)
			release := s.journal.Hold(t, "fire", test.what)
			s.do(once(test.what, 0))
			s.journal.AwaitAbout(t, "fire", test.what, 1)
			test.prepare()
			ended := make(chan error, 1)
			go func() { ended <- test.meanwhile() }()
			eventually(t, "it has begun", func() bool {
				status := first.Status()
				return status.Draining || s.announced.of(subjects.EventLoaded, "")[len(s.announced.of(subjects.EventLoaded, ""))-1].Time.After(s.journal.About("fire", test.what)[0].At)
			})
			// On the new generation, or the other replica.
			s.do(once("during "+test.what, 0))
			s.ran("during " + test.what)
			if record := s.awaitSchedule(test.what, isThere); record.Running == nil || record.Running.Replica != first.ID() || record.Running.Attempt != 1 {
				t.Errorf("%+v", record)
			}
			release()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			if n := s.ran(test.what); n != 1 {
				t.Errorf("it runs %d times", n)
			}
			if s.log.has("schedule callback failed", test.what) {
				t.Error("it is cut off")
			}
			s.do(once("after "+test.what, 0))
			s.ran("after " + test.what)
			if fires := s.journal.About("fire", test.what); len(fires) != 1 {
				t.Errorf("it runs %d times", len(fires))
			}
		})
	}
}

// A fire whose plugin is busy waits, whether there is a queue or not.
func TestAFireWaitsForABusyPlugin(t *testing.T) {
	t.Parallel()
	s := newStateful(t, nil)
	for _, queue := range []int{0, 5} {
		t.Run(fmt.Sprintf("with a queue of %d", queue), func(t *testing.T) {
			s := s.in(t)
			r := s.start(func(c *setup) { c.Runtime.MaxConcurrent, c.Runtime.Queue = 2, queue })
			id := fmt.Sprint("waits", queue)
			s.do(once(id, 1000))
			var calls sync.WaitGroup
			var release []func()
			for i := range 2 {
				busy := fmt.Sprint("busy", queue, i)
				release = append(release, s.journal.Hold(t, "told", busy))
				calls.Go(func() {
					if _, err := s.tryWhere(journal.Command{Do: "tell", ID: []byte(busy)}); err != nil {
						t.Error(err)
					}
				})
				s.journal.AwaitAbout(t, "told", busy, 1)
			}
			s.rewrite(id, func(r *subjects.ScheduleRecord) { r.Due = time.Now() })
			s.awaitSchedule(id, func(r *subjects.ScheduleRecord) bool { return r == nil || r.Running != nil })
			if queue > 0 {
				eventually(t, "it waits", func() bool { return r.Status().Plugins[0].Calls.Waiting == 1 })
			}
			if fires := s.journal.About("fire", id); len(fires) > 0 {
				t.Error("more runs at once than may")
			}
			release[0]()
			if n := s.ran(id); n != 1 {
				t.Errorf("it runs %d times", n)
			}
			release[1]()
			calls.Wait()
			if err := r.Drain(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// A replica that gave up on a claim, and whose attempt to write it was carried out later,
// is alive and knows nothing of the fire.
func TestAFireThatItsLiveReplicaHasForgottenRunsOnceMore(t *testing.T) {
	t.Parallel()
	s := newStateful(t, nil)
	r := s.start()
	s.do(every("forgotten", "@yearly"))
	now := time.Now().UTC()
	s.rewrite("forgotten", func(record *subjects.ScheduleRecord) {
		record.Last, record.Running = now, &subjects.FireClaim{Replica: r.ID(), Planned: now, Term: 1, Attempt: 1}
	})
	if rerun := s.announced.await(t, subjects.EventScheduleRerun, "forgotten", 1)[0]; rerun.Lost != r.ID() || rerun.Attempt != 2 {
		t.Errorf("announced is %+v", rerun.ScheduleEvent)
	}
	s.awaitSchedule("forgotten", func(record *subjects.ScheduleRecord) bool { return record.Running == nil })
	if fires := s.journal.About("fire", "forgotten"); len(fires) != 1 {
		t.Errorf("it runs %d times", len(fires))
	}
}

// A fire runs once more where its replica died or stalled in the callback, and
// nothing runs a third time when that goes on.
func TestAFireRunsOnceMoreWithoutItsReplica(t *testing.T) {
	t.Parallel()
	for name, signal := range map[string]syscall.Signal{"killed": syscall.SIGKILL, "stalled": syscall.SIGSTOP} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStateful(t, nil)
			lost := s.process()
			release := s.journal.Hold(t, "fire", "once")
			releaseRecurring := s.journal.Hold(t, "fire", "yearly")
			s.do(once("once", 0))
			s.do(every("yearly", "@yearly"))
			s.rewrite("yearly", func(r *subjects.ScheduleRecord) { r.Created = r.Created.AddDate(-1, 0, 0) })
			s.journal.AwaitAbout(t, "fire", "once", 1)
			s.journal.AwaitAbout(t, "fire", "yearly", 1)
			other := s.start()
			lost.Signal(signal)
			for _, id := range []string{"once", "yearly"} {
				rerun := s.announced.await(t, subjects.EventScheduleRerun, id, 1)[0]
				if rerun.Attempt != 2 || rerun.Lost != lost.ReplicaID || rerun.Replica != other.ID() {
					t.Errorf("announced is %+v", rerun.ScheduleEvent)
				}
				s.journal.AwaitAbout(t, "fire", id, 2)
			}
			s.awaitSchedule("once", isNone)
			s.awaitSchedule("yearly", func(r *subjects.ScheduleRecord) bool { return r.Running == nil })
			if signal == syscall.SIGSTOP {
				lost.Signal(syscall.SIGCONT)
			}
			release()
			releaseRecurring()
			if signal == syscall.SIGSTOP {
				// It says what it has done when it has done all.
				lost.Signal(syscall.SIGTERM)
				if code := lost.Wait(); code != 0 {
					t.Errorf("it ends with %d\n%s", code, lost.Log())
				}
			}
			s.do(once("after", 0))
			s.ran("after")
			for _, id := range []string{"once", "yearly"} {
				if fires := s.journal.About("fire", id); len(fires) != 2 {
					t.Errorf("%s runs %d times", id, len(fires))
				}
				if reruns := s.announced.of(subjects.EventScheduleRerun, id); len(reruns) != 1 {
					t.Errorf("announced is %+v", reruns)
				}
			}
			if record := s.awaitSchedule("yearly", isThere); record.Running != nil || record.Missed != 0 {
				t.Errorf("%+v", record)
			}
		})
	}
}
