package scrobble

import (
	"container/heap"
	"context"
	"hash/fnv"
	"io"
	"sync"
	"time"

	"github.com/pluginhost/pluginhost/sdk/jet"
	"github.com/pluginhost/pluginhost/subjects"
)

// WorkerConfig says how one replica delivers the plays of one plugin. All fields must be set. Functions must not block.
type WorkerConfig struct {
	// ID is the plugin.
	ID string
	// Slots is how many queues are worked on at once, until Set says otherwise.
	Slots int
	// Words are what the operator says that errors mean, at this moment.
	Words func() Words
	// Plugin is called.
	Plugin Plugin
	// Runs says whether another replica may be alive and have the plugin.
	Runs func(replica string) bool
	// Serving are the identities of the replicas that may be alive and serve the plugin, this one included, in no order.
	Serving func() []string
}

// Plugin is a Scrobbler. Its calls end soon after ctx, which a call that was begun is bounded by as well.
type Plugin interface {
	// IsAuthorized asks whether the plugin scrobbles for a user.
	IsAuthorized(ctx context.Context, user User) Result
	// Scrobble hands it a play of a user: a ScrobblerScrobbleRequest.
	Scrobble(ctx context.Context, user User, request []byte) Result
}

// Worker delivers the plays of one plugin, sharing its queues with the other replicas.
type Worker struct {
	queues *Queues
	config WorkerConfig

	wanted  context.Context // ends when nothing more is begun
	stop    context.CancelFunc
	running context.Context // ends when what runs is cut off
	cutOff  context.CancelFunc
	done    sync.WaitGroup
	works   sync.WaitGroup
	wake    chan struct{} // has a token when something is due sooner

	mu    sync.Mutex
	slots int
	busy  int
	lanes map[string]*lane // by the keys of queues
	due   laneQueue
}

// lane is a queue as a worker sees it.
type lane struct {
	key    string
	record subjects.QueueRecord
	at     time.Time // when there is something to do
	index  int       // in the laneQueue; -1 is that it is not there
	busy   bool      // this replica works on it
	linked time.Time // until when it is not asked again that the plugin is authorised
	asks   bool      // whether it is authorised is asked at once
	tried  time.Time // when the play was last tried that is next
}

// StartWorker begins to deliver. The caller stops the Worker.
func (q *Queues) StartWorker(config WorkerConfig) *Worker {
	w := &Worker{queues: q, config: config, slots: config.Slots, lanes: make(map[string]*lane), wake: make(chan struct{}, 1)}
	w.wanted, w.stop = context.WithCancel(context.Background())
	w.running, w.cutOff = context.WithCancel(context.Background())
	q.index.attach(config.ID, w)
	w.done.Go(w.run)
	return w
}

// Stop begins nothing more and waits for what runs, which is cut off when ctx is over.
func (w *Worker) Stop(ctx context.Context) {
	w.stop()
	w.done.Wait()
	defer context.AfterFunc(ctx, w.cutOff)()
	w.works.Wait()
	w.cutOff()
	w.queues.index.detach(w.config.ID, w)
}

// Set changes how many queues are worked on at once, for another version of the plugin or of its settings, which is asked at
// once about users for whom the former was not authorised.
func (w *Worker) Set(slots int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.slots = slots
	for _, l := range w.lanes {
		l.linked = time.Time{}
		if !l.record.Paused.IsZero() {
			l.asks = true
			w.schedule(l)
		}
	}
	w.stir()
}

// note takes over the record of a queue.
func (w *Worker) note(key string, record *subjects.QueueRecord) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.lanes[key]
	if l == nil {
		l = &lane{key: key, index: -1}
		w.lanes[key] = l
	}
	if l.record.Wait != record.Wait {
		l.asks = false // somebody has asked
	}
	l.record = *record
	w.schedule(l)
	w.stir()
}

// forget forgets a queue that is gone.
func (w *Worker) forget(key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if l := w.lanes[key]; l != nil {
		w.unschedule(l)
		delete(w.lanes, key)
	}
}

func (w *Worker) stir() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// schedule puts a lane where it belongs; mu is held.
func (w *Worker) schedule(l *lane) {
	w.unschedule(l)
	if l.busy {
		return // it is scheduled after that
	}
	if at := w.next(l, time.Now()); !at.IsZero() {
		l.at = at
		heap.Push(&w.due, l)
	}
}

func (w *Worker) unschedule(l *lane) {
	if l.index >= 0 {
		heap.Remove(&w.due, l.index)
	}
}

// next is when there is something to do in a lane; zero is never, as it is. mu is held.
func (w *Worker) next(l *lane, now time.Time) time.Time {
	at, any := dueAt(&l.record, w.queues.times.Longest, now)
	switch claim := l.record.Claim; {
	case claim != nil && w.isOthers(claim):
		return now.Add(w.queues.times.HandOver) // its replica may be gone by then
	case claim != nil:
		return now.Add(w.turn(l.key))
	case !any:
		return time.Time{}
	case l.asks:
		asked := l.record
		asked.Wait = time.Time{}
		at, _ = dueAt(&asked, w.queues.times.Longest, now)
		return later(at, now).Add(w.turn(l.key))
	default:
		return later(at, now).Add(w.turn(l.key))
	}
}

// isOthers says whether a claim is that of another replica that may be alive.
func (w *Worker) isOthers(claim *subjects.PlayClaim) bool {
	return claim.Replica != w.queues.config.Replica && w.config.Runs(claim.Replica)
}

// hasNext says whether a queue has plays besides those set aside.
func hasNext(record *subjects.QueueRecord) bool { return record.Last > 0 && record.Last >= record.From }

// dueAt is when a play of a queue is to be tried; any is false if none waits. longest is the longest that anything waits.
func dueAt(record *subjects.QueueRecord, longest time.Duration, now time.Time) (at time.Time, any bool) {
	wait := honest(record.Wait, longest, now)
	if hasNext(record) {
		at, any = wait, true
	}
	for i := range record.Aside {
		if aside := later(honest(record.Aside[i].Wait, longest, now), wait); !any || aside.Before(at) {
			at, any = aside, true
		}
	}
	return at, any
}

// honest is until when something waits: what is further away than that can be is of a replica whose clock was wrong, and
// does not count.
func honest(until time.Time, longest time.Duration, now time.Time) time.Time {
	if until.After(now.Add(2 * longest)) {
		return time.Time{}
	}
	return until
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// turn is how long this replica leaves a queue to those that are to look after it before: each queue has another order of
// the replicas, which all agree about.
func (w *Worker) turn(key string) time.Duration {
	rank, own := 0, weight(w.queues.config.Replica, key)
	for _, replica := range w.config.Serving() {
		if weight(replica, key) > own {
			rank++
		}
	}
	return time.Duration(rank) * w.queues.times.HandOver
}

// weight orders replicas for a queue (rendezvous hashing).
func weight(replica, key string) uint64 {
	h := fnv.New64a()
	_, _ = io.WriteString(h, key)
	_, _ = io.WriteString(h, replica)
	x := h.Sum64() // whose high bits hardly depend on the last bytes
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	return x ^ x>>33
}

// run begins to work on the queues that are due.
func (w *Worker) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		timer.Reset(w.begin())
		select {
		case <-w.wanted.Done():
			return
		case <-w.wake:
		case <-timer.C:
		}
	}
}

// begin works on what is due, as far as there are slots, and returns when to look again.
func (w *Worker) begin() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.busy < w.slots && len(w.due) > 0 {
		l := w.due[0]
		now := time.Now()
		if wait := l.at.Sub(now); wait > 0 {
			return wait
		}
		heap.Pop(&w.due)
		if claim := l.record.Claim; claim != nil && w.isOthers(claim) {
			w.schedule(l)
			continue
		}
		l.busy = true
		w.busy++
		w.works.Go(func() {
			defer w.end(l)
			w.work(l)
		})
	}
	return time.Hour
}

// end takes a lane out of work.
func (w *Worker) end(l *lane) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l.busy = false
	w.busy--
	if w.lanes[l.key] == l {
		w.schedule(l)
	}
	w.stir()
}

// work delivers plays of a queue for a turn.
func (w *Worker) work(l *lane) {
	d := &delivery{worker: w, queues: w.queues, lane: l}
	if err := d.run(w.wanted, w.running); err != nil && w.wanted.Err() == nil {
		w.queues.handle.Logger().Warn("plays of a user cannot be delivered yet", "plugin", w.config.ID, "error", err)
		_ = jet.Pause(w.wanted, jet.RetryPause)
	}
}

// asks says whether a user for whom the plugin is not authorised is to be asked about at once.
func (w *Worker) asks(l *lane) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return l.asks
}

// triedBefore is when the play of a lane was tried before, and notes that it is now.
func (w *Worker) triedBefore(l *lane, now time.Time) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := l.tried
	l.tried = now
	if before.IsZero() {
		return now
	}
	return before
}

// isLinked says whether it need not be asked that the plugin is authorised, and setLinked that it is.
func (w *Worker) isLinked(l *lane) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Before(l.linked)
}

func (w *Worker) setLinked(l *lane, until time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l.linked = until
}

// laneQueue has the lane first that is due first.
type laneQueue []*lane

var _ heap.Interface = (*laneQueue)(nil)

func (q laneQueue) Len() int           { return len(q) }
func (q laneQueue) Less(i, j int) bool { return q[i].at.Before(q[j].at) }
func (q laneQueue) Swap(i, j int)      { q[i], q[j] = q[j], q[i]; q[i].index, q[j].index = i, j }

// Push implements heap.Interface.
func (q *laneQueue) Push(x any) {
	l := x.(*lane)
	l.index = len(*q)
	*q = append(*q, l)
}

// Pop implements heap.Interface.
func (q *laneQueue) Pop() any {
	last := len(*q) - 1
	l := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	l.index = -1
	return l
}
