package schedule

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/bus/workqueue"
	"github.com/pluginhost/pluginhost/subjects"
)

// ErrNotRun says that nothing of a fire was run: it is given back.
var ErrNotRun = errors.New("the fire was not run")

// RunnerConfig says how the fires of one plugin are run by one replica.
type RunnerConfig struct {
	// ID is the plugin.
	ID string
	// Replica is the identity of this replica.
	Replica string
	// Slots is how many fires run at once, until SetSlots says otherwise.
	Slots int
	// Term is the newest term of a leader.
	Term func(ctx context.Context) (uint64, error)
	// Runs says whether another replica may be alive and have the plugin.
	Runs func(replica string) bool
	// Run runs a fire, which the record has as Running; fire is what the leader has
	// published. It ends soon after ctx.
	// ErrNotRun gives the fire back; any other error is final, and its text goes into the
	// record of a recurring schedule.
	Run func(ctx context.Context, record *subjects.ScheduleRecord, fire subjects.FireMessage) error
	// Rerun is told before a fire is run that replica lost had begun to run.
	Rerun func(record *subjects.ScheduleRecord, lost string)
}

// Runner runs the fires of one plugin, sharing them with the other replicas.
type Runner struct {
	schedules *Schedules
	config    RunnerConfig
	queue     *workqueue.Queue
}

// StartRunner begins to pull and run fires. The caller stops it.
func (s *Schedules) StartRunner(config RunnerConfig) *Runner {
	r := &Runner{schedules: s, config: config}
	r.queue = workqueue.Start(s.handle, workqueue.Config{
		Plugin:   config.ID,
		What:     "fires",
		Consumer: func(ctx context.Context) (jetstream.Consumer, error) { return s.fires(ctx, config.ID) },
		Key: func(subject string) (string, bool) {
			return subjects.FireKey(subject), subjects.IsFireOf(config.ID, subject)
		},
		Slots: config.Slots,
		Work:  r.work,
	})
	return r
}

// Stop takes no more fires and waits for those that run, which are cut off when
// ctx is over.
func (r *Runner) Stop(ctx context.Context) { r.queue.Stop(ctx) }

// SetSlots changes how many fires run at once; those that run go on.
func (r *Runner) SetSlots(n int) { r.queue.SetSlots(n) }

// work decides about a fire and runs it.
func (r *Runner) work(wanted, running context.Context, key string, data []byte) workqueue.Verdict {
	var fire subjects.FireMessage
	if err := json.Unmarshal(data, &fire); err != nil {
		r.schedules.handle.Logger().Warn("a fire cannot be read", "plugin", r.config.ID, "error", err)
		return workqueue.Done
	}
	c, verdict := r.claim(wanted, key, fire)
	switch verdict {
	case drop:
		return workqueue.Done
	case later:
		return workqueue.Later
	case run:
	}
	if c.lost != "" {
		r.config.Rerun(&c.record, c.lost)
	}
	err := r.config.Run(running, &c.record, fire)
	if errors.Is(err, ErrNotRun) {
		r.release(wanted, c)
		return workqueue.Later
	}
	if r.finish(wanted, c, err) {
		return workqueue.Done
	}
	return workqueue.Unknown
}
