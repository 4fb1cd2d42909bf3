package schedule_test

import (
	"testing"

	"github.com/pluginhost/pluginhost/bus/schedule"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/clustertest"
)

// The term can end between the look at what is due and the fire.
func TestWhoLeadsNoMorePublishesNoFire(t *testing.T) {
	t.Parallel()
	b := testenv.Bus(t, testenv.NATS(t))
	election := clustertest.Elect(t, b, "r1")
	_, term := clustertest.AwaitLeader(t, election)
	p, err := schedule.StartPlanner(t.Context(), b.Jet(), schedule.PlannerConfig{
		Election:  election,
		Timetable: func(string, string) (schedule.Timetable, error) { return nil, nil },
		IsServed:  func(string) bool { return true },
		IsLeaving: func(string, string) bool { return false },
		IsAlive:   func(string) bool { return true },
		Recovered: func(subjects.FiresEvent) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	if first := subjects.ScheduleKey("p", "first"); !p.Publish(t.Context(), first, subjects.FireMessage{}) {
		t.Error("the leader publishes no fire")
	}
	clustertest.Resign(t, election)
	second := subjects.ScheduleKey("p", "second")
	if p.Publish(t.Context(), second, subjects.FireMessage{}) {
		t.Error("it says that the fire is published")
	}
	if err := p.Schedules().Fire(t.Context(), second, subjects.FireMessage{Term: term}); err != nil {
		t.Errorf("there is no place for the fire of another: %v", err)
	}
}
