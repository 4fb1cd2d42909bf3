package replica

import (
	"context"

	"github.com/pluginhost/pluginhost/bus/cluster"
	"github.com/pluginhost/pluginhost/bus/schedule"
	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/subjects"
)

// fires runs the fires of the schedules of all plugins that are served here.
type fires struct {
	replica   string
	schedules *schedule.Schedules
	election  *cluster.Election
	heartbeat *cluster.Heartbeat
	beat      func(context.Context)
	running   context.Context // of the replica
	runners   perPlugin[*schedule.Runner]
}

var _ pluginPart = (*fires)(nil)

func (r *Replica) newFires() *fires {
	return &fires{
		replica: r.id, schedules: r.schedules, election: r.leadership.election, heartbeat: r.heartbeat, beat: r.beat, running: r.running,
	}
}

// serve begins to run the fires of a plugin, or ends it, as its generation has it.
func (f *fires) serve(h *hosted, next *generation) {
	if !next.entry.Manifest.Has(plugin.SchedulerCallback) {
		f.leave(f.running, h)
		return
	}
	slots := next.limits.Callbacks()
	if runner, is := f.runners.of(h.id); is {
		runner.SetSlots(slots)
		return
	}
	f.beat(f.running) // others must know that we have the plugin before we claim a fire
	f.runners.add(h.id, f.schedules.StartRunner(schedule.RunnerConfig{
		ID:      h.id,
		Replica: f.replica,
		Slots:   slots,
		Term:    func(ctx context.Context) (uint64, error) { return f.election.CurrentTerm(ctx, f.heartbeat) },
		Runs:    func(replica string) bool { return f.heartbeat.Runs(replica, h.id) },
		Run:     h.runFire,
		Rerun:   h.announceRerun,
	}))
}

// leave runs no more fires of a plugin, and waits for those that run until ctx is over.
func (f *fires) leave(ctx context.Context, h *hosted) { f.runners.stop(ctx, h.id) }

// forget removes the schedules of a plugin, with their fires.
func (f *fires) forget(ctx context.Context, id string) error { return f.schedules.Drop(ctx, id) }

// status counts the schedules of a plugin.
func (f *fires) status(h *hosted, status *subjects.PluginStatus) {
	status.Schedules = f.schedules.Count(h.id)
}
