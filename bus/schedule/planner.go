package schedule

import (
	"container/heap"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pluginhost/pluginhost/bus/cluster"
	"github.com/pluginhost/pluginhost/sdk/jet"
	"github.com/pluginhost/pluginhost/subjects"
)

const (
	// maxPublishing is how many fires are published at once.
	maxPublishing = 32
	// planPause is the shortest time between two looks at a schedule that is due,
	// planPatience the longest.
	planPause    = 250 * time.Millisecond
	planPatience = 5 * time.Second
	// lookPause is between two looks whether a schedule's plugin is served, or the replica
	// gone that runs its fire; leavingPause whether it was removed that is about to be.
	lookPause    = cluster.Lease / 30
	leavingPause = cluster.Lease / 3
	// lateAfter is how late a fire is announced: later than one that waited for
	// another leader.
	lateAfter = cluster.Lease + time.Second
)

// PlannerConfig is what a Planner knows of its replica. All fields must be set. Functions must not
// block.
type PlannerConfig struct {
	// Election says whether the replica leads.
	Election *cluster.Election
	// Timetable reads the expression of a recurring schedule, whose time zone is zone if it
	// names none.
	Timetable func(expression, zone string) (Timetable, error)
	// IsServed says whether a replica that may be alive serves a plugin.
	IsServed func(plugin string) bool
	// IsLeaving says whether what a run of OnInit has set without an id is about to be removed.
	IsLeaving func(plugin, run string) bool
	// IsAlive says whether a replica may be alive.
	IsAlive func(replica string) bool
	// Recovered is told that fires of a plugin are handed out anew that NATS would never have
	// delivered.
	Recovered func(event subjects.FiresEvent)
}

// Timetable is when a recurring schedule fires.
type Timetable interface {
	// Next is the first planned time after another; zero is none.
	Next(after time.Time) time.Time
	// Latest is the last planned time after one and up to another, and how many others lie
	// between; zero is none.
	Latest(after, until time.Time) (latest time.Time, skipped uint64)
}

// Planner publishes the fires of all schedules while its replica leads. It goes by
// the records alone: a fire is published again until its schedule's record says
// that it was claimed, so that what becomes of single fires need not be known.
type Planner struct {
	config    PlannerConfig
	handle    *jet.Handle
	schedules *Schedules
	cancel    context.CancelFunc
	done      sync.WaitGroup
	wake      chan struct{} // has a token when the queue has changed
	overlooks *overlooks

	mu    sync.Mutex
	plans map[string]*plan // by key
	queue planQueue
}

// StartPlanner opens the schedules, and plans them whenever the replica leads. The caller
// stops the Planner.
func StartPlanner(ctx context.Context, handle *jet.Handle, config PlannerConfig) (_ *Planner, err error) {
	p := &Planner{config: config, handle: handle, plans: make(map[string]*plan), wake: make(chan struct{}, 1)}
	p.overlooks = newOverlooks(handle.Logger(), config.Recovered)
	if p.schedules, err = Open(ctx, handle, p.note); err != nil {
		return nil, err
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	p.cancel = cancel
	p.done.Go(func() { p.run(running) })
	p.done.Go(func() { p.overlooks.run(running, p.schedules, config.Election) })
	return p, nil
}

// Schedules are those that are planned. They are stopped with the Planner.
func (p *Planner) Schedules() *Schedules { return p.schedules }

// Stop stops planning, and the Schedules.
func (p *Planner) Stop() {
	p.cancel()
	p.done.Wait()
	p.schedules.Stop()
}

// note takes over what became of a schedule.
func (p *Planner) note(key string, record *subjects.ScheduleRecord) {
	if record != nil && record.Running != nil {
		p.overlooks.claimed(key)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if old := p.plans[key]; old != nil {
		heap.Remove(&p.queue, old.index)
		delete(p.plans, key)
	}
	if record != nil {
		next, err := p.config.plan(key, record, time.Now())
		if err != nil {
			p.handle.Logger().Warn("a schedule cannot be planned: cancel it", "plugin", record.Plugin, "error", err)
			return
		}
		p.plans[key] = next
		heap.Push(&p.queue, next)
	}
	p.stir()
}

func (p *Planner) stir() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// run publishes what is due while this replica leads.
func (p *Planner) run(ctx context.Context) {
	led := false
	for {
		changed := p.config.Election.Changed()
		_, ends, leads := p.config.Election.Term()
		wait := time.Until(ends)
		if leads {
			if !led {
				p.beginTerm()
			}
			wait = min(wait, p.publishDue(ctx))
		} else {
			wait = time.Hour // until the lead changes
		}
		led = leads
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-changed:
		case <-p.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// beginTerm looks at every schedule anew: what another leader has published of
// late is not run any more.
func (p *Planner) beginTerm() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, plan := range p.plans {
		plan.begin(time.Now())
	}
	heap.Init(&p.queue)
}

// publishDue publishes what is due and returns how long nothing else is.
func (p *Planner) publishDue(ctx context.Context) time.Duration {
	var (
		group  errgroup.Group
		failed atomic.Bool
	)
	group.SetLimit(maxPublishing)
	for {
		due, wait := p.next(time.Now())
		if due == nil {
			_ = group.Wait()
			if failed.Load() {
				return planPause
			}
			return wait
		}
		group.Go(func() error {
			switch {
			case failed.Load():
			case !p.publish(ctx, due):
				failed.Store(true)
			}
			return nil
		})
	}
}

// next takes the first fire that is due, or returns how long none is.
func (p *Planner) next(now time.Time) (*dueFire, time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.queue) > 0 {
		first := p.queue[0]
		if wait := first.at.Sub(now); wait > 0 {
			return nil, wait
		}
		fire := first.look(now, &p.config)
		heap.Fix(&p.queue, 0)
		if fire != nil {
			return fire, 0
		}
	}
	return nil, time.Hour
}

// publish publishes a fire while the term lasts, and says whether the stream takes
// any.
func (p *Planner) publish(ctx context.Context, due *dueFire) bool {
	term, _, leads := p.config.Election.Term()
	if !leads {
		return false
	}
	due.Term = term
	err := p.schedules.Fire(ctx, due.key, due.FireMessage)
	switch {
	case errors.Is(err, ErrQueued): // or so the stream says
	case err != nil:
		if ctx.Err() == nil {
			p.handle.Logger().Warn("fires cannot be published yet", "error", err)
		}
		return false
	}
	p.overlooks.published(due.key, due.plugin, time.Now())
	return true
}
