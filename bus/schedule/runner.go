package schedule

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/bus/cluster"
	"github.com/pluginhost/pluginhost/sdk/jet"
	"github.com/pluginhost/pluginhost/subjects"
)

const (
	// ackWait is after how long a fire that nobody works on is handed out again:
	// shorter than what others take to notice that its replica is gone.
	ackWait = cluster.Lease * 2 / 3
	// pullFor is how long a request for fires waits at the server. It is shorter
	// than ackWait: a replica that stalls cannot get the same fire twice.
	pullFor = cluster.Lease / 3
	// heldPause is after how long one looks again at a fire that another replica
	// runs.
	heldPause = cluster.Lease / 30
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
	slots     *slots

	pulling context.Context // ends when no more fires are wanted
	stop    context.CancelFunc
	running context.Context // ends when what runs is cut off
	cutOff  context.CancelFunc
	pulls   sync.WaitGroup
	runs    sync.WaitGroup // of fires
	extends sync.WaitGroup

	mu   sync.Mutex
	held map[string]jetstream.Msg // the fires that are worked on, by the key of their schedule
}

// StartRunner begins to pull and run fires. The caller stops it.
func (s *Schedules) StartRunner(config RunnerConfig) *Runner {
	r := &Runner{schedules: s, config: config, slots: newSlots(config.Slots), held: make(map[string]jetstream.Msg)}
	r.pulling, r.stop = context.WithCancel(context.Background())
	r.running, r.cutOff = context.WithCancel(context.Background())
	r.pulls.Go(r.pull)
	r.extends.Go(r.extend)
	return r
}

// Stop takes no more fires and waits for those that run, which are cut off when
// ctx is over.
func (r *Runner) Stop(ctx context.Context) {
	r.stop()
	r.pulls.Wait()
	defer context.AfterFunc(ctx, r.cutOff)()
	r.runs.Wait()
	r.cutOff()
	r.extends.Wait()
}

// SetSlots changes how many fires run at once; those that run go on.
func (r *Runner) SetSlots(n int) { r.slots.resize(n) }

// pull asks for fires as long as there are slots.
func (r *Runner) pull() {
	failing := r.schedules.handle.NewTransient()
	for {
		consumer, err := r.schedules.fires(r.pulling, r.config.ID)
		for err == nil {
			if err = r.pullOnce(consumer); err == nil {
				failing.Works()
			}
		}
		if r.pulling.Err() != nil {
			return
		}
		if errors.Is(err, jetstream.ErrConsumerDeleted) {
			continue // to have fires handed out anew
		}
		failing.Failed(r.pulling, r.schedules.handle.Logger(), time.Now(), "no fires can be had", "plugin", r.config.ID, "error", err)
		if jet.Pause(r.pulling, cluster.Lease/6) != nil {
			return
		}
	}
}

// pullOnce asks once and begins to run what comes.
func (r *Runner) pullOnce(consumer jetstream.Consumer) error {
	free, err := r.slots.take(r.pulling)
	if err != nil {
		return err
	}
	defer func() { r.slots.give(free) }()
	ctx, cancel := context.WithTimeout(r.pulling, pullFor)
	defer cancel()
	batch, err := consumer.Fetch(free, jetstream.FetchContext(ctx))
	if err != nil {
		return err
	}
	var foreign error
	for msg := range batch.Messages() {
		if r.pulling.Err() != nil {
			_ = msg.Nak()
			continue
		}
		if !subjects.IsFireOf(r.config.ID, msg.Subject()) {
			_ = msg.NakWithDelay(heldPause)
			foreign = errForeignFire
			continue
		}
		free--
		r.runs.Go(func() {
			defer r.slots.give(1)
			r.handle(msg)
		})
	}
	return errors.Join(foreign, batchError(batch.Error()))
}

// errForeignFire says that a consumer has become that of another plugin, as a former version
// on another replica can have it: it is looked for anew.
var errForeignFire = errors.New("the consumer is that of another plugin")

// batchError leaves out that there were fewer fires than asked for.
func batchError(err error) error {
	if errors.Is(err, nats.ErrTimeout) || errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}

// handle decides about a fire and runs it.
func (r *Runner) handle(msg jetstream.Msg) {
	key := subjects.FireKey(msg.Subject())
	var fire subjects.FireMessage
	if err := json.Unmarshal(msg.Data(), &fire); err != nil {
		r.schedules.handle.Logger().Warn("a fire cannot be read", "plugin", r.config.ID, "error", err)
		_ = msg.Ack()
		return
	}
	if !r.hold(key, msg) {
		_ = msg.NakWithDelay(heldPause)
		return
	}
	defer r.letGo(key)
	c, verdict := r.claim(r.pulling, key, fire)
	switch verdict {
	case drop:
		_ = msg.Ack()
	case later:
		_ = msg.NakWithDelay(heldPause)
	case run:
		r.run(c, fire, msg)
	}
}

// run runs a fire that is ours.
func (r *Runner) run(c *claimed, fire subjects.FireMessage, msg jetstream.Msg) {
	if c.lost != "" {
		r.config.Rerun(&c.record, c.lost)
	}
	err := r.config.Run(r.running, &c.record, fire)
	if errors.Is(err, ErrNotRun) {
		r.release(c)
		_ = msg.NakWithDelay(heldPause)
		return
	}
	if r.finish(c, err) {
		_ = msg.Ack()
	}
}

// hold notes that a fire is worked on; false is that one of its schedule already
// is.
func (r *Runner) hold(key string, msg jetstream.Msg) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, held := r.held[key]; held {
		return false
	}
	r.held[key] = msg
	return true
}

func (r *Runner) letGo(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.held, key)
}

// extend says again and again that the fires are worked on, so that the server
// does not hand them out again.
func (r *Runner) extend() {
	ticker := time.NewTicker(ackWait / 4)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-r.running.Done():
			return
		}
		r.mu.Lock()
		for _, msg := range r.held {
			_ = msg.InProgress()
		}
		r.mu.Unlock()
	}
}
