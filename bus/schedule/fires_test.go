package schedule_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/bus/cluster"
	"github.com/pluginhost/pluginhost/bus/schedule"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
)

// longID is the id of a plugin whose token is no name of a consumer.
var longID = strings.Repeat("l", 129)

// firesTest is a stream of fires for several plugins.
type firesTest struct {
	t         *testing.T
	url       string
	schedules *schedule.Schedules
	stream    jetstream.Stream
	records   jetstream.KeyValue
}

func newFiresTest(t *testing.T) *firesTest {
	t.Helper()
	x := &firesTest{t: t, url: testenv.NATS(t)}
	x.schedules = openSchedules(t, testenv.Bus(t, x.url))
	js, err := jetstream.New(testenv.Connect(t, x.url))
	if err == nil {
		x.stream, err = js.Stream(t.Context(), subjects.FireStream)
	}
	if err == nil {
		x.records, err = js.KeyValue(t.Context(), subjects.ScheduleBucket)
	}
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// runner runs the fires of a plugin, and returns whose they were.
func (x *firesTest) runner(id string) <-chan string {
	x.t.Helper()
	runs := make(chan string, 100)
	r := openSchedules(x.t, testenv.Bus(x.t, x.url)).StartRunner(schedule.RunnerConfig{
		ID: id, Replica: "of " + id, Slots: 4,
		Term: func(context.Context) (uint64, error) { return 1, nil },
		Runs: func(string) bool { return true },
		Run: func(_ context.Context, record *subjects.ScheduleRecord, _ subjects.FireMessage) error {
			runs <- record.Plugin
			return nil
		},
	})
	x.t.Cleanup(func() { r.Stop(context.Background()) })
	return runs
}

// fire sets a schedule and fires it.
func (x *firesTest) fire(id string) {
	x.t.Helper()
	key := subjects.ScheduleKey(id, "s")
	err := x.schedules.Set(x.t.Context(), subjects.ScheduleRecord{Plugin: id, Schedule: []byte("s"), Created: planned(0), Due: planned(1)}, schedule.Limit{Max: 100})
	if err != nil {
		x.t.Fatal(err)
	}
	entry, err := x.records.Get(x.t.Context(), key)
	if err != nil {
		x.t.Fatal(err)
	}
	var record subjects.ScheduleRecord
	if err := json.Unmarshal(entry.Value(), &record); err != nil {
		x.t.Fatal(err)
	}
	if err := x.schedules.Fire(x.t.Context(), key, subjects.FireMessage{Set: record.Set, Planned: planned(1), Term: 1}); err != nil {
		x.t.Fatal(err)
	}
}

// wantRun waits until the fire of a plugin that fire has published has run, and its schedule is
// gone.
func (x *firesTest) wantRun(id string, runs <-chan string) {
	x.t.Helper()
	select {
	case got := <-runs:
		if got != id {
			x.t.Errorf("%.20s runs a fire of %.20s", id, got)
		}
	case <-time.After(wait):
		x.t.Fatalf("the fire of %.20s is not run", id)
	}
	for deadline := time.Now().Add(wait); ; <-time.After(5 * time.Millisecond) {
		_, err := x.records.Get(x.t.Context(), subjects.ScheduleKey(id, "s"))
		if errors.Is(err, jetstream.ErrKeyNotFound) {
			return
		}
		if time.Now().After(deadline) {
			x.t.Fatalf("the schedule of %.20s is still there: %v", id, err)
		}
	}
}

// former makes a consumer as a replica of a former version does.
func (x *firesTest) former(id string) jetstream.Consumer {
	x.t.Helper()
	consumer, err := x.stream.CreateOrUpdateConsumer(x.t.Context(), jetstream.ConsumerConfig{
		Durable: subjects.FormerFireConsumer(id), Description: "fires of plugin " + subjects.Token(id), FilterSubject: subjects.Fires(id),
		AckPolicy: jetstream.AckExplicitPolicy, AckWait: cluster.Lease * 2 / 3, MaxAckPending: 10_000,
	})
	if err != nil {
		x.t.Fatal(err)
	}
	return consumer
}

// consumers are the names of the stream's consumers.
func (x *firesTest) consumers() (names []string) {
	x.t.Helper()
	list := x.stream.ConsumerNames(x.t.Context())
	for name := range list.Name() {
		names = append(names, name)
	}
	if list.Err() != nil {
		x.t.Fatal(list.Err())
	}
	return names
}

func TestPluginsOfSimilarIDsRunTheirOwnFires(t *testing.T) {
	t.Parallel()
	x := newFiresTest(t)
	ids := []string{longID, subjects.Hash(longID), "plugin", "Plugin"}
	runs := make(map[string]<-chan string)
	for _, id := range ids {
		runs[id] = x.runner(id)
	}
	for range 3 {
		for _, id := range ids {
			x.fire(id)
			x.wantRun(id, runs[id])
		}
	}
	if names := x.consumers(); len(names) != len(ids) {
		t.Errorf("the consumers are %q", names)
	}
	for _, id := range ids {
		if err := x.schedules.Drop(t.Context(), id); err != nil {
			t.Error(err)
		}
	}
}

// Replicas of the former version pull from a consumer of the former name, and the stream
// allows no other one for the same fires: all go on with it.
func TestAConsumerOfTheFormerNameGoesOn(t *testing.T) {
	t.Parallel()
	for _, id := range []string{longID, "Plugin"} {
		x := newFiresTest(t)
		consumer := x.former(id)
		x.fire(id)
		if batch, err := consumer.Fetch(1); err != nil { // one runs there now
			t.Fatal(err)
		} else if msg := <-batch.Messages(); msg == nil {
			t.Fatal(batch.Error())
		}
		runs := x.runner(id)
		x.wantRun(id, runs) // which died there
		x.former(id)        // another one starts
		x.fire(id)
		x.wantRun(id, runs)
		if names := x.consumers(); len(names) != 1 || names[0] != subjects.FormerFireConsumer(id) {
			t.Errorf("the consumers are %q", names)
		}
		if err := x.schedules.Redeliver(t.Context(), id); err != nil {
			t.Error(err)
		}
		x.fire(id)
		x.wantRun(id, runs)
		if names := x.consumers(); len(names) != 1 || names[0] != subjects.FireConsumer(id) {
			t.Errorf("once the fires are handed out anew, the consumers are %q", names)
		}
	}
}

func TestAConsumerOfTheFormerNameGoesWithItsPlugin(t *testing.T) {
	t.Parallel()
	for _, id := range []string{longID, "Plugin"} {
		x := newFiresTest(t)
		x.former(id)
		if err := x.schedules.Drop(t.Context(), id); err != nil {
			t.Error(err)
		}
		if names := x.consumers(); len(names) != 0 {
			t.Errorf("%q are left", names)
		}
	}
}

// A replica of the former version gives the consumer of one plugin to another: fires that come
// of it are given back, and the own ones come from another consumer.
func TestAConsumerThatBecomesAnotherPluginsIsLeft(t *testing.T) {
	t.Parallel()
	x := newFiresTest(t)
	x.former(longID)
	runs := x.runner(longID)
	x.fire(longID)
	x.wantRun(longID, runs)
	other := subjects.Hash(longID)
	x.former(other)
	x.fire(other)
	others := x.runner(other)
	x.wantRun(other, others)
	x.fire(longID)
	x.wantRun(longID, runs)
	if len(runs)+len(others) > 0 {
		t.Error("a fire was run twice")
	}
}
