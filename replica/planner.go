package replica

import (
	"container/heap"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pluginhost/pluginhost/bus"
	"github.com/pluginhost/pluginhost/hostsvc/scheduler"
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
	lateAfter = bus.Lease + time.Second
)

// planner publishes the fires of all schedules while this replica leads. It goes by
// the records alone: a fire is published again until its schedule's record says
// that it was claimed, so that what becomes of single fires need not be known.
type planner struct {
	replica   *Replica
	election  *bus.Election
	schedules *bus.Schedules
	cancel    context.CancelFunc
	done      sync.WaitGroup
	wake      chan struct{} // has a token when the queue has changed

	mu    sync.Mutex
	plans map[string]*plan // by key
	queue planQueue
}

// startPlanner opens the schedules and plans them whenever this replica leads. The
// caller stops it.
func (r *Replica) startPlanner(ctx context.Context) (_ *planner, err error) {
	p := &planner{replica: r, election: r.leadership.election, plans: make(map[string]*plan), wake: make(chan struct{}, 1)}
	if p.schedules, err = r.bus.OpenSchedules(ctx, p.note); err != nil {
		return nil, err
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	p.cancel = cancel
	p.done.Go(func() { p.run(running) })
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
		plan.begin()
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
			if !failed.Load() && !p.publish(ctx, due) {
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
	case errors.Is(err, bus.ErrFireQueued):
		return true
	case err != nil:
		if ctx.Err() == nil {
			p.replica.log.Warn("fires cannot be published yet", "error", err)
		}
		return false
	}
	if due.first && (due.Skipped > 0 || due.late > lateAfter) {
		p.replica.announceMissed(due)
	}
	return true
}

// plan is when a schedule is to be looked at.
type plan struct {
	key       string
	record    *subjects.ScheduleRecord
	timetable scheduler.Timetable // of a recurring one
	at        time.Time
	published time.Time // when its fire was first published, in this term
	index     int       // in the queue
}

// dueFire is a fire that is to be published.
type dueFire struct {
	subjects.FireMessage
	key    string
	record *subjects.ScheduleRecord
	first  bool // in this term
	late   time.Duration
}

func newPlan(key string, record *subjects.ScheduleRecord, now time.Time) (*plan, error) {
	p := &plan{key: key, record: record}
	if record.IsRecurring() {
		var err error
		if p.timetable, err = scheduler.ParseTimetable(record.Expression, record.Zone); err != nil {
			return nil, err
		}
	}
	p.begin()
	if record.Running != nil {
		p.at = now.Add(bus.Lease / 3)
	}
	return p, nil
}

// begin plans the next time.
func (p *plan) begin() {
	p.published = time.Time{}
	p.at = p.record.Due
	if p.record.IsRecurring() {
		p.at = p.timetable.Next(p.since())
	}
}

// since is after when the next time of a recurring schedule is.
func (p *plan) since() time.Time {
	if p.record.Last.IsZero() {
		return p.record.Created
	}
	return p.record.Last
}

// look says what is to be published of a schedule that is due now, and plans the
// next look.
func (p *plan) look(now time.Time, r *Replica) *dueFire {
	record := p.record
	fire := &dueFire{key: p.key, record: record}
	fire.Set, fire.Planned = record.Set, record.Due
	switch running := record.Running; {
	case running != nil && r.heartbeat.Alive(running.Replica), !r.isServed(record.Plugin):
		p.at = now.Add(bus.Lease / 3)
		return nil
	case running != nil: // its replica is gone
		fire.Planned = running.Planned
	case record.IsRecurring():
		fire.Planned, fire.Skipped = p.timetable.Latest(p.since(), now)
		if fire.Planned.IsZero() {
			p.at = p.timetable.Next(p.since())
			if p.at.IsZero() {
				p.at = now.Add(time.Hour)
			}
			return nil
		}
	}
	if p.published.IsZero() {
		p.published, fire.first = now, record.Running == nil
	}
	p.at = now.Add(min(max(now.Sub(p.published)/8, planPause), planPatience))
	fire.late = now.Sub(fire.Planned)
	return fire
}

// planQueue is a heap of plans, the first to be looked at on top.
type planQueue []*plan

func (q planQueue) Len() int           { return len(q) }
func (q planQueue) Less(i, j int) bool { return q[i].at.Before(q[j].at) }
func (q planQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

// Push implements heap.Interface.
func (q *planQueue) Push(x any) {
	p := x.(*plan)
	p.index = len(*q)
	*q = append(*q, p)
}

// Pop implements heap.Interface.
func (q *planQueue) Pop() any {
	old := *q
	p := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	return p
}
