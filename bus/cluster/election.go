package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/sdk/jet"
	"github.com/pluginhost/pluginhost/subjects"
)

const (
	// trust is how long a leader believes in its term after it began to renew it:
	// less than the lease, after which others take over, by what clocks may differ.
	trust = Lease * 9 / 10
	// electionPause is between two attempts to write the leader's record.
	electionPause = Lease / 12
)

// Election elects one leader among the replicas. The leader keeps a record in the
// state bucket moving; who has not seen it move for a whole lease, by its own
// clock, takes over by compare-and-set, with the next term. A term ends by the
// leader's own clock before anybody can begin another.
type Election struct {
	handle  *jet.Handle
	kv      jetstream.KeyValue
	state   *jet.View
	replica string
	unhear  func() // stops listening to the state
	cancel  context.CancelFunc
	done    sync.WaitGroup

	mu sync.Mutex
	// record is the newest that was seen or written, at revision; moved is when.
	record   subjects.LeaderRecord
	revision uint64
	moved    time.Time
	newest   uint64        // the greatest term there was
	begun    time.Time     // when we began to renew our own term, as it lasts; zero is that it is not ours
	changed  chan struct{} // closed when somebody else leads, or the term is another
}

// StartElection takes part in the election of a leader under this identity. The
// caller stops it.
func StartElection(ctx context.Context, handle *jet.Handle, replica string) (*Election, error) {
	state, err := handle.State(ctx)
	if err != nil {
		return nil, err
	}
	kv, err := handle.OpenBucket(ctx, jet.StateBucket)
	if err != nil {
		return nil, err
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	e := &Election{handle: handle, kv: kv, state: state, replica: replica, cancel: cancel, moved: time.Now(), changed: make(chan struct{})}
	e.unhear = state.Listen(subjects.LeaderKey, e.see)
	e.done.Go(func() { e.run(running) })
	return e, nil
}

// Term is the number of our term and when it ends, where we lead.
func (e *Election) Term() (number uint64, ends time.Time, leading bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.record.Term, e.begun.Add(trust), e.leads()
}

// Leader is the identity of the replica that leads, as far as it is known; empty is
// nobody.
func (e *Election) Leader() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.record.Replica == e.replica && !e.leads() {
		return "" // nobody knows of a later one
	}
	return e.record.Replica
}

// CurrentTerm is the number of the newest term, whoever leads. Where the heartbeat
// has not seen anything of late, what is known here may be old, and the record is read.
func (e *Election) CurrentTerm(ctx context.Context, heartbeat *Heartbeat) (uint64, error) {
	if !heartbeat.isFresh() {
		ctx, cancel := context.WithTimeout(ctx, Lease/3)
		defer cancel()
		entry, err := e.kv.Get(ctx, subjects.LeaderKey)
		if err != nil && !errors.Is(err, jetstream.ErrKeyNotFound) {
			return 0, fmt.Errorf("the leader's record: %w", err)
		}
		if err == nil {
			e.see(jet.Change{Revision: entry.Revision(), Value: entry.Value()})
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.record.Term, nil
}

// Changed returns a channel that is closed when the leader or the term changes.
func (e *Election) Changed() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.changed
}

// leads says whether our term lasts; mu is held. The clock that says more decides: others count
// on theirs while this machine sleeps.
func (e *Election) leads() bool {
	return e.record.Replica == e.replica && (!Fencing || !e.begun.IsZero() && jet.Passed(e.begun, time.Now()) < trust)
}

// Stop resigns, so that another replica takes over at once.
func (e *Election) Stop(ctx context.Context) error {
	e.cancel()
	e.done.Wait()
	e.unhear()
	e.mu.Lock()
	record, revision, leads := e.record, e.revision, e.leads()
	e.begun = time.Time{}
	e.mu.Unlock()
	if !leads {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, Lease) // after which others take over by themselves
	defer cancel()
	if err := e.resign(ctx, record, revision); err != nil {
		return fmt.Errorf("resign: %w", err)
	}
	return nil
}

// resign writes that nobody leads until that, or a record of somebody else, is what
// there is: an answer can be lost with a connection.
func (e *Election) resign(ctx context.Context, record subjects.LeaderRecord, revision uint64) error {
	record.Replica = ""
	for {
		err := e.handle.AwaitConnected(ctx)
		if err != nil {
			return err
		}
		attempt, cancel := context.WithTimeout(ctx, Lease/6)
		_, err = e.write(attempt, record, revision)
		cancel()
		if err == nil {
			return nil
		}
		is, at := e.ours(ctx)
		if !is {
			return nil
		}
		if at != 0 {
			revision = at
		}
		if jet.Pause(ctx, electionPause) != nil {
			return err
		}
	}
}

// ours says whether the record is ours, or nobody knows, and its revision, 0 where nobody
// knows.
func (e *Election) ours(ctx context.Context) (ours bool, revision uint64) {
	ctx, cancel := context.WithTimeout(ctx, Lease/6)
	defer cancel()
	entry, err := e.kv.Get(ctx, subjects.LeaderKey)
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound):
		return false, 0
	case err != nil:
		return true, 0
	}
	var is subjects.LeaderRecord
	err = json.Unmarshal(entry.Value(), &is)
	return err == nil && is.Replica == e.replica, entry.Revision()
}

// see notes a record of the bucket, if it is newer than what is known.
func (e *Election) see(c jet.Change) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if c.Anew {
		e.revision = 0 // what there is follows
		return
	}
	record := subjects.LeaderRecord{Term: e.record.Term} // where it is gone, the next term is still a greater one
	if !c.Gone {
		if err := json.Unmarshal(c.Value, &record); err != nil {
			e.handle.Logger().Warn("the leader's record cannot be read", "error", err)
		}
	}
	switch {
	case c.Revision == 0: // it was found to be gone
		e.revision = 0
	case c.Revision <= e.revision:
		return
	}
	e.take(record, c.Revision, time.Time{})
}

// wrote notes a record that we have written, and when we began to.
func (e *Election) wrote(record subjects.LeaderRecord, revision uint64, begun time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.take(record, max(revision, e.revision), begun)
}

// take makes a record the known one; begun is when we began to write it, where we have.
// mu is held.
func (e *Election) take(record subjects.LeaderRecord, revision uint64, begun time.Time) {
	led, another := e.leads(), record.Replica != e.record.Replica || record.Term != e.record.Term
	if !begun.IsZero() || another {
		e.begun = begun
	}
	e.record, e.revision, e.moved = record, revision, time.Now()
	e.newest = max(e.newest, record.Term)
	if another || led != e.leads() {
		close(e.changed)
		e.changed = make(chan struct{})
	}
}

// run renews our term, or waits for that of another to be over.
func (e *Election) run(ctx context.Context) {
	for {
		e.mu.Lock()
		record, revision, wait := e.record, e.revision, e.wait()
		changed := e.changed
		e.mu.Unlock()
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-changed:
			timer.Stop()
			continue
		case <-timer.C:
		}
		if e.isAt(revision) {
			e.attempt(ctx, record, revision)
		}
	}
}

// isAt says whether the record still has a revision.
func (e *Election) isAt(revision uint64) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.revision == revision
}

// wait is how long nothing is to be done; mu is held.
func (e *Election) wait() time.Duration {
	switch {
	case e.leads():
		return max(time.Until(e.moved.Add(Lease/3)), electionPause)
	case e.record.Replica == "":
		return 0
	case e.record.Replica == e.replica: // ours from before we lost it
		return electionPause
	default:
		return time.Until(e.moved.Add(Lease))
	}
}

// attempt renews our term, or begins one if the record has not moved since it was
// looked at.
func (e *Election) attempt(ctx context.Context, record subjects.LeaderRecord, revision uint64) {
	begun := time.Now()
	e.mu.Lock()
	renews := e.leads() && e.record.Term == record.Term
	next := nextTerm(max(e.newest, record.Term), begun)
	e.mu.Unlock()
	if !renews {
		record = subjects.LeaderRecord{Replica: e.replica, Term: next}
	}
	record.V = subjects.Version
	record.Beat++
	ctx, cancel := context.WithTimeout(ctx, Lease/3)
	defer cancel()
	written, err := e.write(ctx, record, revision)
	if err == nil {
		e.wrote(record, written, begun)
		return
	}
	if ctx.Err() == nil && !errors.Is(err, jet.ErrMoved) {
		e.handle.Logger().Warn("the leader's record could not be written", "error", err)
	}
	// It may have been written and the answer lost, or somebody was faster.
	if entry, err := e.kv.Get(ctx, subjects.LeaderKey); err == nil {
		if entry.Revision() < revision {
			e.state.Doubt()
		}
		e.see(jet.Change{Revision: entry.Revision(), Value: entry.Value()})
	}
	_ = jet.Pause(ctx, electionPause)
}

// nextTerm is the number of a term that begins now, after one. It is not less than the
// milliseconds since 1970: where the record came back older than it was, and nobody is left
// who knew it, no number is used twice.
func nextTerm(after uint64, now time.Time) uint64 {
	return max(after+1, uint64(max(now.UnixMilli(), 0)))
}

// write writes the record if it still has a revision; 0 is that there is none.
func (e *Election) write(ctx context.Context, record subjects.LeaderRecord, revision uint64) (uint64, error) {
	body, err := json.Marshal(record)
	if err != nil {
		return 0, err
	}
	return e.handle.Replace(ctx, jet.StateBucket.Message(subjects.LeaderKey, body), revision)
}
