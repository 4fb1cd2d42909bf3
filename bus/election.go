package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

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
	bus     *Bus
	kv      jetstream.KeyValue
	replica string
	cancel  context.CancelFunc
	done    sync.WaitGroup

	mu sync.Mutex
	// record is the newest that was seen or written, at revision; moved is when.
	record   subjects.LeaderRecord
	revision uint64
	moved    time.Time
	ends     time.Time     // when our own term does, if it is ours
	changed  chan struct{} // closed when somebody else leads, or the term is another
}

// StartElection takes part in the election of a leader under this identity. The
// caller stops it.
func (b *Bus) StartElection(ctx context.Context, replica string) (*Election, error) {
	kv, err := b.ensureBucket(ctx, stateBucket)
	if err != nil {
		return nil, err
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	e := &Election{bus: b, kv: kv, replica: replica, cancel: cancel, moved: time.Now(), changed: make(chan struct{})}
	watcher, err := kv.Watch(running, subjects.LeaderKey)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("watch the leader: %w", err)
	}
	known := make(chan struct{})
	e.done.Go(func() { e.watch(running, watcher, known) })
	e.done.Go(func() { e.run(running, known) })
	return e, nil
}

// Term is the number of our term and when it ends, where we lead.
func (e *Election) Term() (number uint64, ends time.Time, leading bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.record.Term, e.ends, e.leads()
}

// Leader is the identity of the replica that leads, as far as it is known; empty is
// nobody.
func (e *Election) Leader() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.record.Replica
}

// Changed returns a channel that is closed when the leader or the term changes.
func (e *Election) Changed() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.changed
}

// leads says whether our term lasts; mu is held.
func (e *Election) leads() bool { return e.record.Replica == e.replica && time.Now().Before(e.ends) }

// Stop resigns, so that another replica takes over at once.
func (e *Election) Stop(ctx context.Context) error {
	e.cancel()
	e.done.Wait()
	e.mu.Lock()
	record, revision, leads := e.record, e.revision, e.leads()
	e.ends = time.Time{}
	e.mu.Unlock()
	if !leads {
		return nil
	}
	record.Replica = ""
	ctx, cancel := context.WithTimeout(ctx, Lease) // after which others take over by themselves
	defer cancel()
	if _, err := e.write(ctx, record, revision); err != nil {
		return fmt.Errorf("resign: %w", err)
	}
	return nil
}

// watch notes what others write.
func (e *Election) watch(ctx context.Context, watcher jetstream.KeyWatcher, known chan<- struct{}) {
	defer func() { _ = watcher.Stop() }()
	for first := true; ; {
		select {
		case <-ctx.Done():
			return
		case entry, open := <-watcher.Updates():
			switch {
			case !open:
				return
			case entry != nil:
				e.see(entry)
			case first: // all that was there has come
				first = false
				close(known)
			}
		}
	}
}

// see notes a record of the bucket.
func (e *Election) see(entry jetstream.KeyValueEntry) {
	var record subjects.LeaderRecord
	if entry.Operation() == jetstream.KeyValuePut {
		if err := json.Unmarshal(entry.Value(), &record); err != nil {
			e.bus.config.Logger.Warn("the leader's record cannot be read", "error", err)
		}
	}
	e.note(record, entry.Revision(), time.Time{})
}

// note takes a record that is newer than what is known. ends is when our own term
// does, for a record that we have written.
func (e *Election) note(record subjects.LeaderRecord, revision uint64, ends time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if revision <= e.revision && ends.IsZero() {
		return
	}
	led, another := e.leads(), record.Replica != e.record.Replica || record.Term != e.record.Term
	if !ends.IsZero() || another {
		e.ends = ends
	}
	e.record, e.revision, e.moved = record, max(revision, e.revision), time.Now()
	if another || led != e.leads() {
		close(e.changed)
		e.changed = make(chan struct{})
	}
}

// run renews our term, or waits for that of another to be over.
func (e *Election) run(ctx context.Context, known <-chan struct{}) {
	select {
	case <-ctx.Done():
		return
	case <-known:
	}
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
	e.mu.Unlock()
	if !renews {
		record = subjects.LeaderRecord{Replica: e.replica, Term: record.Term + 1}
	}
	record.V = subjects.Version
	record.Beat++
	ctx, cancel := context.WithTimeout(ctx, Lease/3)
	defer cancel()
	written, err := e.write(ctx, record, revision)
	if err == nil {
		e.note(record, written, begun.Add(trust))
		return
	}
	if ctx.Err() == nil && !errors.Is(err, jetstream.ErrKeyExists) {
		e.bus.config.Logger.Warn("the leader's record could not be written", "error", err)
	}
	// It may have been written and the answer lost, or somebody was faster.
	if entry, err := e.kv.Get(ctx, subjects.LeaderKey); err == nil {
		e.see(entry)
	}
	_ = pause(ctx, electionPause)
}

// write writes the record if it still has a revision; 0 is that there is none.
func (e *Election) write(ctx context.Context, record subjects.LeaderRecord, revision uint64) (uint64, error) {
	body, err := json.Marshal(record)
	if err != nil {
		return 0, err
	}
	if revision == 0 {
		return e.kv.Create(ctx, subjects.LeaderKey, body)
	}
	return e.kv.Update(ctx, subjects.LeaderKey, body, revision)
}
