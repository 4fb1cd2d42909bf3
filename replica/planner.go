package replica

import (
	"container/heap"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pluginhost/pluginhost/bus/cluster"
	"github.com/pluginhost/pluginhost/bus/schedule"
	"github.com/pluginhost/pluginhost/subjects"
)

const (
	// maxPublishing is how many fires are published at once.
	maxPublishing = 32
	// planPause is the shortest time between two looks at a schedule that is due,
	// planPatience the longest.
	planPause    = 250 * time.Millisecond
	planPatience = 5 * time.Second
	// lateAfter is how late a fire is announced: later than one that waited for
	// another leader.
	lateAfter = cluster.Lease + time.Second
)

// planner publishes the fires of all schedules while this replica leads. It goes by
// the records alone: a fire is published again until its schedule's record says
// that it was claimed, so that what becomes of single fires need not be known.
type planner struct {
	replica   *Replica
	election  *cluster.Election
	schedules *schedule.Schedules
	cancel    context.CancelFunc
	done      sync.WaitGroup
	wake      chan struct{} // has a token when the queue has changed
	overlooks *overlooks

	mu    sync.Mutex
	plans map[string]*plan // by key
	queue planQueue
}

// startPlanner opens the schedules and plans them whenever this replica leads. The
// caller stops it.
func (r *Replica) startPlanner(ctx context.Context) (_ *planner, err error) {
	p := &planner{replica: r, election: r.leadership.election, plans: make(map[string]*plan), wake: make(chan struct{}, 1), overlooks: newOverlooks(r)}
	if p.schedules, err = schedule.Open(ctx, r.bus.Jet(), p.note); err != nil {
		return nil, err
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	p.cancel = cancel
	p.done.Go(func() { p.run(running) })
	p.done.Go(func() { p.overlooks.run(running, p.schedules, p.election) })
	return p, nil
}

func (p *planner) stop() {
	if p == nil {
		return
	}
	p.cancel()
	p.done.Wait()
	p.schedules.Stop()
}

// note takes over what became of a schedule.
func (p *planner) note(key string, record *subjects.ScheduleRecord) {
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
		next, err := newPlan(key, record, time.Now())
		if err != nil {
			p.replica.log.Warn("a schedule cannot be planned: cancel it", "plugin", record.Plugin, "error", err)
			return
		}
		p.plans[key] = next
		heap.Push(&p.queue, next)
	}
	p.stir()
}

func (p *planner) stir() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// run publishes what is due while this replica leads.
func (p *planner) run(ctx context.Context) {
	led := false
	for {
		changed := p.election.Changed()
		_, ends, leads := p.election.Term()
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
func (p *planner) beginTerm() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, plan := range p.plans {
		plan.begin(time.Now())
	}
	heap.Init(&p.queue)
}

// publishDue publishes what is due and returns how long nothing else is.
func (p *planner) publishDue(ctx context.Context) time.Duration {
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
func (p *planner) next(now time.Time) (*dueFire, time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.queue) > 0 {
		first := p.queue[0]
		if wait := first.at.Sub(now); wait > 0 {
			return nil, wait
		}
		fire := first.look(now, p.replica)
		heap.Fix(&p.queue, 0)
		if fire != nil {
			return fire, 0
		}
	}
	return nil, time.Hour
}

// publish publishes a fire while the term lasts, and says whether the stream takes
// any.
func (p *planner) publish(ctx context.Context, due *dueFire) bool {
	term, _, leads := p.election.Term()
	if !leads {
		return false
	}
	due.Term = term
	err := p.schedules.Fire(ctx, due.key, due.FireMessage)
	switch {
	case errors.Is(err, schedule.ErrQueued): // or so the stream says
	case err != nil:
		if ctx.Err() == nil {
			p.replica.log.Warn("fires cannot be published yet", "error", err)
		}
		return false
	}
	p.overlooks.published(due.key, due.plugin, time.Now())
	return true
}
