package replica_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/replica"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/journal"
)

// often is an expression for every second.
const often = "@every 1s"

func once(id string, delay int) journal.Command {
	return journal.Command{Do: "once", ID: []byte(id), Delay: delay, Payload: []byte("of " + id)}
}

func every(id, expression string) journal.Command {
	return journal.Command{Do: "every", ID: []byte(id), Expression: expression, Payload: []byte("of " + id)}
}

func cancel(id string) journal.Command { return journal.Command{Do: "cancel", ID: []byte(id)} }

const noSchedule = "schedule not found"

// schedulesTest is a use of schedules: begin sets them, and the check that it returns
// sees what has become of them.
type schedulesTest struct {
	name  string
	begin func(s *stateful) (check func(t *testing.T, s *stateful))
}

// What one plugin can do with schedules, all of it at the same time, on two
// replicas.
func TestSchedules(t *testing.T) {
	s := newStateful(t, nil)
	s.start()
	s.start()
	tests := []schedulesTest{
		{"an id is made where there is none", madeIDs},
		{"what is no expression fails the call with the reason", badExpressions},
		{"a cancelled schedule does not fire", cancelled},
		{"a callback that sets its own id anew is called again", setInCallback},
		{"a one-time schedule is none in its own callback", cancelledInCallback("once", 0)},
		{"a recurring schedule ends in its own callback", cancelledInCallback("every", 1)},
		{"runs of one schedule do not overlap", slowCallback},
	}
	for name, delay := range map[string]int{"at once": 0, "in the past": -1_000_000, "in a second": 1} {
		tests = append(tests, schedulesTest{"a one-time schedule fires " + name, oneTime(name, delay)})
	}
	for _, expression := range []string{"* * * * * *", often, "TZ=America/New_York * * * * * *"} {
		tests = append(tests, schedulesTest{"each planned time of " + expression + " fires once", plannedTimes(expression)})
	}
	for _, kinds := range [][2]string{{"once", "once"}, {"every", "once"}, {"once", "every"}, {"every", "every"}} {
		tests = append(tests, schedulesTest{kinds[0] + " is replaced by " + kinds[1], replaced(kinds[0], kinds[1])})
	}
	for name, err := range map[string]error{"an error in the response": errors.New("no luck with it"), "an error in its place": journal.GoError("no luck at all")} {
		tests = append(tests, schedulesTest{"after " + name + " a recurring schedule goes on", failing(name, err)})
	}
	checks := map[string]func(*testing.T, *stateful){}
	for _, test := range tests {
		checks[test.name] = test.begin(s)
	}
	for name, check := range checks {
		t.Run(name, func(t *testing.T) { check(t, s.in(t)) })
	}
}

// soonOf is a schedule of a kind that is due after seconds.
func soonOf(kind, id string, seconds int) journal.Command {
	if kind == "once" {
		return once(id, seconds)
	}
	return every(id, fmt.Sprintf("@every %ds", seconds))
}

func oneTime(name string, delay int) func(*stateful) func(*testing.T, *stateful) {
	return func(s *stateful) func(*testing.T, *stateful) {
		id, payload := "clear\u200b\xff a b:c/"+name, []byte("payload\x00\xff")
		got := string(s.do(journal.Command{Do: "once", ID: []byte(id), Delay: delay, Payload: payload}).ID)
		return func(t *testing.T, s *stateful) {
			if got != id {
				t.Errorf("the id is %q", got)
			}
			if n := s.ran(id); n != 1 {
				t.Fatalf("it fires %d times", n)
			}
			if fire := s.journal.About("fire", id)[0]; string(fire.Payload) != string(payload) || fire.Recurring {
				t.Errorf("%+v", fire)
			}
		}
	}
}

func madeIDs(s *stateful) func(*testing.T, *stateful) {
	ids := map[string]string{}
	for _, kind := range []string{"once", "every"} {
		ids[kind] = string(s.do(soonOf(kind, "", 1)).ID)
	}
	return func(t *testing.T, s *stateful) {
		for kind, id := range ids {
			if !regexp.MustCompile(`^[-_0-9a-zA-Z]{10}$`).MatchString(id) {
				t.Errorf("the id is %q", id)
			}
			if fire := s.journal.AwaitAbout(t, "fire", id, 1)[0]; fire.Recurring != (kind == "every") {
				t.Errorf("%+v", fire)
			}
		}
		s.do(cancel(ids["every"]))
	}
}

// plannedTimes follows the claims of a recurring schedule.
func plannedTimes(expression string) func(*stateful) func(*testing.T, *stateful) {
	return func(s *stateful) func(*testing.T, *stateful) {
		s.do(every(expression, expression))
		watcher := s.watch(subjects.ScheduleBucket, subjects.ScheduleKey("p", expression))
		return func(t *testing.T, s *stateful) {
			var claims []subjects.ScheduleRecord
			awaitWatched(s, watcher, func(r *subjects.ScheduleRecord) bool {
				if r != nil && r.Running != nil && (len(claims) == 0 || r.Last.After(claims[len(claims)-1].Last)) {
					claims = append(claims, *r)
				}
				return len(claims) == 3
			})
			for i, claim := range claims[1:] {
				before := claims[i]
				if step := claim.Last.Sub(before.Last); step != time.Duration(1+claim.Missed-before.Missed)*time.Second || claim.Running.Attempt != 1 {
					t.Errorf("%v is followed by %v, with %d counted as missed, after %d", before.Last, claim.Last, claim.Missed, before.Missed)
				}
			}
			// One run for each planned time is all there is.
			s.do(cancel(expression))
			first, last := claims[0].Created, time.Now()
			fires := s.journal.AwaitAbout(t, "fire", expression, 3)
			if most := int(last.Sub(first)/time.Second) + 1; len(fires) > most {
				t.Errorf("%d fires in %v", len(fires), last.Sub(first))
			}
			for _, fire := range fires {
				if !fire.Recurring || string(fire.Payload) != "of "+expression {
					t.Errorf("%+v", fire)
				}
			}
		}
	}
}

func badExpressions(*stateful) func(*testing.T, *stateful) {
	return func(t *testing.T, s *stateful) {
		for expression, reason := range map[string]string{
			"":                               "empty spec string",
			"* * * *":                        "expected exactly 5 fields, found 4",
			"60 * * * *":                     "above maximum",
			"@sometimes":                     "unrecognized descriptor",
			"TZ=":                            "time zone",
			"TZ=Mars/Olympus * * * * *":      "time zone",
			"0 0 31 2 *":                     "names no time",
			strings.Repeat("* ", 1000) + "*": "bytes",
		} {
			_, err := s.try(every("bad", expression))
			if !errors.Is(err, subjects.ErrPlugin) || !strings.Contains(err.Error(), "failed to schedule recurring job: ") || !strings.Contains(err.Error(), reason) {
				t.Errorf("%.50q: %v, want %q", expression, err, reason)
			}
		}
		s.awaitSchedule("bad", isNone)
		s.do(once("after bad ones", 0))
		s.ran("after bad ones")
	}
}

func cancelled(s *stateful) func(*testing.T, *stateful) {
	ids := map[string]string{"once": "cancelled once", "every": "cancelled every"}
	for kind, id := range ids {
		s.do(soonOf(kind, id, 1))
		s.do(cancel(id))
	}
	s.do(once("after the cancelled", 2))
	return func(t *testing.T, s *stateful) {
		s.ran("after the cancelled")
		for _, id := range ids {
			s.awaitSchedule(id, isNone)
			if fires := s.journal.About("fire", id); len(fires) > 0 {
				t.Errorf("%s fires %d times", id, len(fires))
			}
		}
		for _, id := range []string{"nobody", "", ids["once"], ids["every"], strings.Repeat("x", 100_000)} {
			if text := s.fails(cancel(id)); text != noSchedule {
				t.Errorf("%.50q: %q", id, text)
			}
		}
	}
}

// replaced replaces a schedule that is due in a second by one that is due in three.
func replaced(former, next string) func(*stateful) func(*testing.T, *stateful) {
	return func(s *stateful) func(*testing.T, *stateful) {
		id := former + " by " + next
		s.do(soonOf(former, id, 1))
		second := soonOf(next, id, 3)
		second.Payload = []byte("new")
		s.do(second)
		at := time.Now()
		record := s.awaitSchedule(id, isThere)
		return func(t *testing.T, s *stateful) {
			if string(record.Payload) != "new" || record.IsRecurring() != (next == "every") {
				t.Errorf("the record is %+v", record)
			}
			isNew := func(e journal.Event) bool { return string(e.Payload) == "new" }
			for n := 1; !slices.ContainsFunc(s.journal.AwaitAbout(t, "fire", id, n), isNew); n++ {
				t.Log("the former schedule fires")
			}
			if next == "every" {
				s.do(cancel(id))
			}
			s.awaitSchedule(id, isNone)
			late := 0
			for _, fire := range s.journal.About("fire", id) {
				if !isNew(fire) && fire.At.After(at) {
					late++
				}
				if isNew(fire) && fire.Recurring != (next == "every") {
					t.Errorf("%+v", fire)
				}
			}
			if late > 1 || former == "once" && late > 0 && next == "once" { // one may have been on its way
				t.Errorf("the former schedule fires %d times", late)
			}
		}
	}
}

// inCallback has the guest do something in the first callback of a schedule.
func (s *stateful) inCallback(id string, commands ...journal.Command) {
	var done atomic.Bool
	s.journal.On(id, func(e journal.Event) ([]journal.Command, error) {
		if e.Event == "fire" && done.CompareAndSwap(false, true) {
			return commands, nil
		}
		return nil, nil
	})
}

func setInCallback(s *stateful) func(*testing.T, *stateful) {
	s.inCallback("again", once("again", 0))
	s.do(journal.Command{Do: "once", ID: []byte("again"), Payload: []byte("first")})
	return func(t *testing.T, s *stateful) {
		s.journal.AwaitAbout(t, "fire", "again", 2)
		if n := s.ran("again"); n != 2 {
			t.Errorf("it fires %d times", n)
		}
		if fires := s.journal.About("fire", "again"); string(fires[0].Payload) != "first" || string(fires[1].Payload) != "of again" {
			t.Errorf("%+v", fires)
		}
	}
}

// cancelledInCallback has a schedule cancel itself when it fires.
func cancelledInCallback(kind string, delay int) func(*stateful) func(*testing.T, *stateful) {
	return func(s *stateful) func(*testing.T, *stateful) {
		id := "self " + kind
		s.inCallback(id, cancel(id))
		s.do(soonOf(kind, id, delay))
		s.do(once("after "+id, delay+2))
		return func(t *testing.T, s *stateful) {
			result := s.journal.AwaitAbout(t, "done", id, 1)[0].Results[0]
			if kind == "every" && !result.OK || kind == "once" && result.Error != noSchedule {
				t.Errorf("%+v", result)
			}
			s.ran("after " + id)
			if n := s.ran(id); n != 1 {
				t.Errorf("it fires %d times", n)
			}
		}
	}
}

func failing(id string, err error) func(*stateful) func(*testing.T, *stateful) {
	return func(s *stateful) func(*testing.T, *stateful) {
		s.journal.On(id, func(journal.Event) ([]journal.Command, error) { return nil, err })
		s.do(every(id, often))
		return func(t *testing.T, s *stateful) {
			s.journal.AwaitAbout(t, "fire", id, 3)
			s.do(cancel(id))
			if !s.log.has("schedule callback failed", id, err.Error()) {
				t.Errorf("%v is not in the log", err)
			}
			s.do(once(id, 0)) // one that fails is over, too
			s.awaitSchedule(id, isNone)
		}
	}
}

func slowCallback(s *stateful) func(*testing.T, *stateful) {
	release := s.journal.Hold(s.t, "fire", "slow")
	s.do(every("slow", often))
	return func(t *testing.T, s *stateful) {
		s.journal.AwaitAbout(t, "fire", "slow", 1)
		s.do(every("quick", often))
		s.journal.AwaitAbout(t, "fire", "quick", 3)
		s.do(cancel("quick"))
		if fires := s.journal.About("fire", "slow"); len(fires) != 1 {
			t.Errorf("%d runs begin while the first goes on", len(fires))
		}
		release()
		missed := s.announced.await(t, subjects.EventScheduleMissed, "slow", 1)[0]
		if missed.Skipped < 1 || missed.Planned.IsZero() {
			t.Errorf("announced is %+v", missed.ScheduleEvent)
		}
		record := s.awaitSchedule("slow", func(r *subjects.ScheduleRecord) bool { return r.Missed > 0 })
		if record.Missed < missed.Skipped {
			t.Errorf("%d are counted, %d announced", record.Missed, missed.Skipped)
		}
		s.journal.AwaitAbout(t, "fire", "slow", 2)
		s.do(cancel("slow"))
	}
}

func testTimeNow(t *testing.T, s *stateful, zone string) {
	t.Helper()
	before := time.Now().UnixMilli()
	var text, name string
	var milli int64
	if _, err := fmt.Sscan(s.do(journal.Command{Do: "now"}).Text, &text, &milli, &name); err != nil {
		t.Fatal(err)
	}
	location, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || at.UnixMilli() != milli || milli < before || milli > time.Now().UnixMilli() || name != zone {
		t.Errorf("it is %s, %d, in %s: %v", text, milli, name, err)
	}
	if want := at.In(location).Format(time.RFC3339Nano); text != want {
		t.Errorf("it is %s, want %s", text, want)
	}
}

// Each of many schedules that are due at once fires once, on whichever replica.
func TestReplicasShareTheFires(t *testing.T) {
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
	s := newStateful(t, nil)
	s.start(func(c *replica.Config) {
		c.Scheduler = replica.SchedulerConfig{TimeZone: "America/New_York", MaxSchedules: 3, MaxPayload: 10}
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
	s := newStateful(t, nil)
	for _, queue := range []int{0, 5} {
		t.Run(fmt.Sprintf("with a queue of %d", queue), func(t *testing.T) {
			s := s.in(t)
			r := s.start(func(c *replica.Config) { c.Runtime.MaxConcurrent, c.Runtime.Queue = 2, queue })
			id := fmt.Sprint("waits", queue)
			s.do(once(id, 1))
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

// A fire runs once more where its replica died or stalled in the callback, and
// nothing runs a third time when that goes on.
func TestAFireRunsOnceMoreWithoutItsReplica(t *testing.T) {
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
