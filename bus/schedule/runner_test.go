package schedule_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/bus"
	"github.com/pluginhost/pluginhost/bus/schedule"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
)

// fired is a fire that was run.
type fired struct {
	replica, schedule string
	claim             subjects.FireClaim
}

// runnerTest is a bucket of schedules, and runners that run the fires of plugin p.
type runnerTest struct {
	t   *testing.T
	url string
	*schedule.Schedules
	records jetstream.KeyValue
	runs    chan fired
	buses   map[string]*bus.Bus // of the runners, by replica

	mu     sync.Mutex
	gone   map[string]bool // replicas
	reruns int
	term   uint64
	noTerm error // why the term is not known
}

func newRunnerTest(t *testing.T) *runnerTest {
	t.Helper()
	x := &runnerTest{t: t, url: testenv.NATS(t), runs: make(chan fired, 100), gone: map[string]bool{}, term: 1, buses: map[string]*bus.Bus{}}
	x.Schedules = openSchedules(t, testenv.Bus(t, x.url))
	js, err := jetstream.New(testenv.Connect(t, x.url))
	if err != nil {
		t.Fatal(err)
	}
	if x.records, err = js.KeyValue(t.Context(), "pluginhost-schedules"); err != nil {
		t.Fatal(err)
	}
	return x
}

func openSchedules(t *testing.T, b *bus.Bus) *schedule.Schedules {
	t.Helper()
	s, err := schedule.Open(t.Context(), b.Jet(), func(string, *subjects.ScheduleRecord) {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

// runner starts a replica's runner; run says how a fire ends.
func (x *runnerTest) runner(replica string, run func(context.Context) error) *schedule.Runner {
	x.t.Helper()
	return x.runnerOf(replica, 4, run)
}

// runnerOf is runner with so many slots.
func (x *runnerTest) runnerOf(replica string, slots int, run func(context.Context) error) *schedule.Runner {
	x.t.Helper()
	b := testenv.Bus(x.t, x.url)
	x.buses[replica] = b
	r := openSchedules(x.t, b).StartRunner(schedule.RunnerConfig{
		ID: "p", Replica: replica, Slots: slots,
		Term: func(context.Context) (uint64, error) {
			x.mu.Lock()
			defer x.mu.Unlock()
			return x.term, x.noTerm
		},
		Runs: func(replica string) bool { return !locked(&x.mu, func() bool { return x.gone[replica] }) },
		Run: func(ctx context.Context, record *subjects.ScheduleRecord, _ subjects.FireMessage) error {
			x.runs <- fired{replica, string(record.Schedule), *record.Running}
			return run(ctx)
		},
		Rerun: func(*subjects.ScheduleRecord, string) { locked(&x.mu, func() int { x.reruns++; return 0 }) },
	})
	x.t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		r.Stop(ctx)
	})
	return r
}

func locked[T any](mu *sync.Mutex, f func() T) T {
	mu.Lock()
	defer mu.Unlock()
	return f()
}

// set sets a schedule and returns its record as it is stored.
func (x *runnerTest) set(id, expression string) subjects.ScheduleRecord {
	x.t.Helper()
	err := x.Set(x.t.Context(), subjects.ScheduleRecord{Plugin: "p", Schedule: []byte(id), Created: planned(0), Due: planned(1), Expression: expression}, schedule.Limit{Max: 100})
	if err != nil {
		x.t.Fatal(err)
	}
	record := x.record(id)
	if record == nil {
		x.t.Fatal("there is no record")
	}
	return *record
}

// record is the record of a schedule; nil is none.
func (x *runnerTest) record(schedule string) *subjects.ScheduleRecord {
	x.t.Helper()
	entry, err := x.records.Get(x.t.Context(), subjects.ScheduleKey("p", schedule))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil
	}
	var record subjects.ScheduleRecord
	if err == nil {
		err = json.Unmarshal(entry.Value(), &record)
	}
	if err != nil {
		x.t.Fatal(err)
	}
	return &record
}

// awaitRecord waits until the record of a schedule is as it should be.
func (x *runnerTest) awaitRecord(schedule string, is func(*subjects.ScheduleRecord) bool) {
	x.t.Helper()
	watch, err := x.records.Watch(x.t.Context(), subjects.ScheduleKey("p", schedule))
	if err != nil {
		x.t.Fatal(err)
	}
	defer func() { _ = watch.Stop() }()
	timeout := time.After(wait)
	for !is(x.record(schedule)) {
		select {
		case <-watch.Updates():
		case <-timeout:
			x.t.Fatalf("the record stays %+v", x.record(schedule))
		}
	}
}

// planned is the nth planned time.
func planned(n int) time.Time { return time.Unix(1_000_000_000+int64(n), 0).UTC() }

// fire publishes a fire of a record.
func (x *runnerTest) fire(record subjects.ScheduleRecord, planned time.Time, term uint64) error {
	x.t.Helper()
	return x.Fire(x.t.Context(), subjects.ScheduleKey("p", string(record.Schedule)), subjects.FireMessage{Set: record.Set, Planned: planned, Term: term})
}

func (x *runnerTest) mustFire(record subjects.ScheduleRecord, planned time.Time, term uint64) {
	x.t.Helper()
	// The one before may not be acknowledged yet.
	for {
		err := x.fire(record, planned, term)
		if err == nil {
			return
		}
		if !errors.Is(err, schedule.ErrQueued) {
			x.t.Fatal(err)
		}
	}
}

func (x *runnerTest) ran() fired {
	x.t.Helper()
	select {
	case f := <-x.runs:
		return f
	case <-time.After(wait):
		x.t.Fatal("nothing was run")
		return fired{}
	}
}

func atOnce(context.Context) error { return nil }

func isGone(r *subjects.ScheduleRecord) bool { return r == nil }
func hasEnded(r *subjects.ScheduleRecord) bool {
	return r != nil && r.Running == nil && !r.Last.IsZero()
}

func TestAOneTimeScheduleRunsOnceAndIsGone(t *testing.T) {
	t.Parallel()
	x := newRunnerTest(t)
	record := x.set("s\u200b1", "")
	x.mustFire(record, planned(1), 1)
	x.runner("r1", atOnce)
	if f := x.ran(); f.schedule != "s\u200b1" || f.claim.Attempt != 1 || !f.claim.Planned.Equal(planned(1)) {
		t.Errorf("%+v", f)
	}
	x.awaitRecord("s\u200b1", isGone)
}

func TestARecurringScheduleRunsOnceForEveryPlannedTime(t *testing.T) {
	t.Parallel()
	x := newRunnerTest(t)
	x.runner("r1", atOnce)
	x.runner("r2", atOnce)
	record := x.set("s", "@every 1s")
	for n := 1; n <= 20; n++ {
		// Two leaders may publish the same fire.
		x.mustFire(record, planned(n), 1)
		x.mustFire(record, planned(n), 1)
	}
	x.awaitRecord("s", func(r *subjects.ScheduleRecord) bool { return hasEnded(r) && r.Last.Equal(planned(20)) })
	x.mustFire(record, planned(21), 1)
	seen := map[time.Time]int{}
	for seen[planned(21)] == 0 {
		f := x.ran()
		seen[f.claim.Planned]++
	}
	for at, runs := range seen {
		if runs != 1 {
			t.Errorf("%v ran %d times", at, runs)
		}
	}
	if len(seen) != 21 {
		t.Errorf("%d planned times ran, want 21", len(seen))
	}
}

// What must not run is acknowledged: there is place for the next fire, which runs.
func TestFiresThatAreNotRun(t *testing.T) {
	t.Parallel()
	tests := []struct {
		what    string
		prepare func(x *runnerTest, record subjects.ScheduleRecord)
	}{
		{"of a schedule that was cancelled", func(x *runnerTest, _ subjects.ScheduleRecord) {
			if found, err := x.Cancel(x.t.Context(), "p", "s"); !found || err != nil {
				x.t.Fatal(found, err)
			}
		}},
		{"of a schedule that was replaced", func(x *runnerTest, _ subjects.ScheduleRecord) { x.set("s", "@every 1s") }},
		{"of a former term", func(x *runnerTest, _ subjects.ScheduleRecord) { x.term = 2 }},
		{"of a time that has run", func(x *runnerTest, r subjects.ScheduleRecord) {
			r.Last = planned(1)
			x.write(r)
		}},
		{"that cannot be read", nil},
	}
	for _, test := range tests {
		t.Run(test.what, func(t *testing.T) {
			x := newRunnerTest(t)
			record := x.set("s", "@every 1s")
			if test.prepare == nil {
				js, err := jetstream.New(testenv.Connect(t, x.url))
				if err != nil {
					t.Fatal(err)
				}
				if _, err := js.Publish(t.Context(), subjects.Fire(subjects.ScheduleKey("p", "s")), []byte("{")); err != nil {
					t.Fatal(err)
				}
			} else {
				x.mustFire(record, planned(1), 1)
				test.prepare(x, record)
			}
			x.runner("r1", atOnce)
			if now := x.record("s"); now != nil {
				record = *now
			} else {
				record = x.set("s", "@every 1s")
			}
			x.mustFire(record, planned(2), 2)
			if f := x.ran(); !f.claim.Planned.Equal(planned(2)) {
				t.Errorf("the fire of %v ran", f.claim.Planned)
			}
		})
	}
}

func (x *runnerTest) write(record subjects.ScheduleRecord) {
	x.t.Helper()
	body, err := json.Marshal(record)
	if err == nil {
		_, err = x.records.Put(x.t.Context(), subjects.ScheduleKey("p", string(record.Schedule)), body)
	}
	if err != nil {
		x.t.Fatal(err)
	}
}

func TestAFireWhoseReplicaDiedRunsOnceMore(t *testing.T) {
	t.Parallel()
	x := newRunnerTest(t)
	record := x.set("s", "")
	x.mustFire(record, planned(1), 1)
	stuck := func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}
	x.runnerOf("dies", 1, stuck)
	x.ran()
	// It is alive, however long it takes: nobody else runs the fire, not even when
	// the server hands it out again.
	x.runner("lives", atOnce)
	other := x.set("other", "")
	x.mustFire(other, planned(1), 1)
	for f := x.ran(); f.schedule != "other"; f = x.ran() {
		t.Fatalf("%s runs it while its replica lives", f.replica)
	}
	x.buses["dies"].Close()
	x.mu.Lock()
	x.gone["dies"] = true
	x.mu.Unlock()
	if f := x.ran(); f.replica != "lives" || f.claim.Attempt != 2 {
		t.Errorf("%+v", f)
	}
	x.awaitRecord("s", isGone)
	if x.reruns != 1 {
		t.Errorf("%d reruns were told", x.reruns)
	}
}

// The server hands out a fire once more while another replica runs it.
func TestAFireThatAnotherReplicaRunsIsLeftToIt(t *testing.T) {
	t.Parallel()
	x := newRunnerTest(t)
	held := x.set("held", "@every 1s")
	held.Last, held.Running = planned(1), &subjects.FireClaim{Replica: "other", Planned: planned(1), Term: 1, Attempt: 1}
	x.write(held)
	x.mustFire(held, planned(1), 1)
	x.mustFire(x.set("next", ""), planned(1), 1)
	x.runnerOf("r1", 1, atOnce)
	if f := x.ran(); f.schedule != "next" {
		t.Fatalf("%s runs while its replica lives", f.schedule)
	}
	locked(&x.mu, func() bool { x.gone["other"] = true; return true })
	if f := x.ran(); f.schedule != "held" || f.claim.Attempt != 2 {
		t.Errorf("%+v", f)
	}
}

// A rerun that is given back, as its replica leaves, is a rerun also for the next.
func TestARerunOfWhichNothingRanIsGivenBackAsOne(t *testing.T) {
	t.Parallel()
	x := newRunnerTest(t)
	record := x.set("s", "@every 1s")
	x.mustFire(record, planned(1), 1)
	x.runnerOf("dies", 1, func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	})
	x.ran()
	x.buses["dies"].Close()
	x.mu.Lock()
	x.gone["dies"] = true
	x.mu.Unlock()
	var refused sync.Once
	x.runner("lives", func(context.Context) error {
		err := error(nil)
		refused.Do(func() { err = schedule.ErrNotRun })
		return err
	})
	for range 2 {
		if f := x.ran(); f.replica != "lives" || f.claim.Attempt != 2 || !f.claim.Planned.Equal(planned(1)) {
			t.Errorf("%+v", f)
		}
	}
	x.awaitRecord("s", hasEnded)
}

func TestAFireOfWhichNothingRanIsGivenBack(t *testing.T) {
	t.Parallel()
	x := newRunnerTest(t)
	record := x.set("s", "@every 1s")
	missed := subjects.FireMessage{Set: record.Set, Planned: planned(1), Term: 1, Skipped: 2}
	if err := x.Fire(t.Context(), subjects.ScheduleKey("p", "s"), missed); err != nil {
		t.Fatal(err)
	}
	var refused sync.Once
	x.runner("r1", func(context.Context) error {
		err := error(nil)
		refused.Do(func() { err = schedule.ErrNotRun })
		return err
	})
	if f := x.ran(); f.claim.Attempt != 1 {
		t.Errorf("%+v", f)
	}
	if f := x.ran(); f.claim.Attempt != 1 || !f.claim.Planned.Equal(planned(1)) {
		t.Errorf("%+v", f)
	}
	x.awaitRecord("s", hasEnded)
	if after := x.record("s"); after.Missed != 2 {
		t.Errorf("%d times are counted as missed, want 2", after.Missed)
	}
	if x.reruns != 0 {
		t.Error("a rerun is told, and nothing had run")
	}
}

// A runner that is cut off keeps no claim, though its replica lives on.
func TestARunnerThatIsCutOffEndsItsClaims(t *testing.T) {
	t.Parallel()
	x := newRunnerTest(t)
	cutOff := func(outcome error) {
		r := x.runner("r1", func(ctx context.Context) error {
			<-ctx.Done()
			return outcome
		})
		x.ran()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		r.Stop(ctx)
	}
	record := x.set("s", "@every 1s")
	x.mustFire(record, planned(1), 1)
	cutOff(schedule.ErrNotRun)
	if running := x.record("s").Running; running != nil {
		t.Fatalf("a fire of which nothing ran stays claimed: %+v", running)
	}
	cutOff(nil) // and is run again
	if after := x.record("s"); !hasEnded(after) || !after.Last.Equal(planned(1)) {
		t.Errorf("a fire that ran is not recorded: %+v", after)
	}
}

func TestAnErrorOfTheCallbackIsFinal(t *testing.T) {
	t.Parallel()
	x := newRunnerTest(t)
	x.mustFire(x.set("s", ""), planned(1), 1)
	x.runner("r1", func(context.Context) error { return errors.New("the plugin says no") })
	x.ran()
	x.awaitRecord("s", isGone)
}

func TestARunningOneTimeScheduleIsNoneAnyMore(t *testing.T) {
	t.Parallel()
	x := newRunnerTest(t)
	x.mustFire(x.set("s", ""), planned(1), 1)
	end := make(chan struct{})
	x.runner("r1", func(context.Context) error {
		<-end
		return nil
	})
	x.ran()
	if found, err := x.Cancel(t.Context(), "p", "s"); found || err != nil {
		t.Errorf("cancel: %v, %v; want that there is none", found, err)
	}
	again := x.set("s", "") // as a callback may
	close(end)
	x.mustFire(again, planned(2), 1)
	if f := x.ran(); !f.claim.Planned.Equal(planned(2)) {
		t.Errorf("%+v", f)
	}
	x.awaitRecord("s", isGone)
}

func TestSchedulesOfAPluginAreLimited(t *testing.T) {
	t.Parallel()
	x := newRunnerTest(t)
	for n := range 3 {
		x.set(fmt.Sprint(n), "")
	}
	for x.Count("p") < 3 { // told by the server
	}
	record := subjects.ScheduleRecord{Plugin: "p", Schedule: []byte("one more"), Due: planned(1)}
	if err := x.Set(t.Context(), record, schedule.Limit{Max: 3}); !errors.Is(err, schedule.ErrLimit) {
		t.Errorf("got %v", err)
	}
	record.Schedule = []byte("0")
	if err := x.Set(t.Context(), record, schedule.Limit{Max: 3}); err != nil {
		t.Errorf("replace: %v", err)
	}
	if err := x.Drop(t.Context(), "p"); err != nil {
		t.Fatal(err)
	}
	if x.record("0") != nil {
		t.Error("it is still there")
	}
}
