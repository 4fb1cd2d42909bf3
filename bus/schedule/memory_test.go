package schedule_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/bus"
	"github.com/pluginhost/pluginhost/bus/schedule"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/clustertest"
)

// A server that keeps all in memory loses it when it restarts: the buckets are made
// anew, and what lives on counts again.
func TestReplicasGoOnWhenTheServerHasLostItsMemory(t *testing.T) {
	t.Parallel()
	server := testenv.Restartable(t)
	inMemory := func(name string) *bus.Bus {
		b, err := bus.Open(t.Context(), bus.Config{URL: server.URL(), Memory: true, Name: name, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.Close)
		return b
	}
	first, second := inMemory("r1"), inMemory("r2")
	h1, h2 := clustertest.Heartbeat(t, first, "r1"), clustertest.Heartbeat(t, second, "r2")
	defer clustertest.Stop(t, h1)
	defer clustertest.Stop(t, h2)
	e1, e2 := clustertest.Elect(t, first, "r1"), clustertest.Elect(t, second, "r2")
	defer clustertest.Resign(t, e1)
	defer clustertest.Resign(t, e2)
	seen := make(chan string, 100)
	schedules, err := schedule.Open(t.Context(), first.Jet(), func(_ string, record *subjects.ScheduleRecord) {
		if record == nil {
			seen <- "gone"
		} else {
			seen <- string(record.Schedule)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer schedules.Stop()
	set := func(id string) error {
		return schedules.Set(t.Context(), subjects.ScheduleRecord{Plugin: "p", Schedule: []byte(id), Due: time.Now()}, schedule.Limit{Max: 10})
	}
	next := func() string {
		select {
		case what := <-seen:
			return what
		case <-time.After(wait):
			t.Fatal("nothing is told of a schedule")
			return ""
		}
	}
	if err := set("before"); err != nil || next() != "before" {
		t.Fatal(err)
	}
	clustertest.AwaitLive(t, h1, 2)
	_, term := clustertest.AwaitLeader(t, e1, e2)

	server.Stop()
	server.Start()
	if what := next(); what != "gone" {
		t.Errorf("told of %q, want that it is gone", what)
	}
	if err := set("after"); err != nil {
		t.Error(err)
	}
	if what := next(); what != "after" {
		t.Errorf("told of %q", what)
	}
	clustertest.AwaitLive(t, h1, 2)
	clustertest.AwaitLive(t, h2, 2)
	for deadline := time.Now().Add(wait); ; {
		leader, next := clustertest.AwaitLeader(t, e1, e2)
		if next > term && leader.Leader() != "" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("nobody leads anew: term %d", next)
		}
	}
	key := subjects.ScheduleKey("p", "after")
	if err := schedules.Fire(t.Context(), key, subjects.FireMessage{Set: "s"}); err == nil {
		return
	}
	// The stream of fires comes back with whoever pulls from it.
	runner := schedules.StartRunner(schedule.RunnerConfig{ID: "p", Replica: "r1", Slots: 1, Term: func(ctx context.Context) (uint64, error) { return e1.CurrentTerm(ctx, h1) }, Runs: h1.Alive})
	defer runner.Stop(t.Context())
	for deadline := time.Now().Add(wait); schedules.Fire(t.Context(), key, subjects.FireMessage{Set: "s"}) != nil; {
		if time.Now().After(deadline) {
			t.Fatal("no fire can be published")
		}
	}
}
