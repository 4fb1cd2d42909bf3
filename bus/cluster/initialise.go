package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/pluginhost/pluginhost/sdk/excerpt"
	"github.com/pluginhost/pluginhost/sdk/jet"
	"github.com/pluginhost/pluginhost/subjects"
)

// keptInits is how many generations of a plugin are remembered to have been
// initialised.
const keptInits = 50

// MaxReason is how many bytes a record tells of why an OnInit or a connection failed.
const MaxReason = 4 << 10

// An OnInit that failed is tried again after firstInitRetry, and after twice as long at
// each further failure, lastInitRetry at most.
const (
	firstInitRetry = 5 * time.Second
	lastInitRetry  = 5 * time.Minute
)

// ErrInitGivenUp is the cause of a context with which a caller of Initialise gives up an
// OnInit, because another version of the plugin is to be loaded. An OnInit that ends for
// another cause is left to other replicas.
var ErrInitGivenUp = errors.New("given up, as another version of the plugin is to be loaded")

// InitError says that the OnInit of a generation has failed, here or on another
// replica.
type InitError struct {
	// Replica is the one on which it ran.
	Replica string
	// Text is why it failed.
	Text string
	// Revision tells this failure apart from others.
	Revision uint64
	// Failures is how often it has failed in a row, at least 1.
	Failures int
}

// RetryAfter is how long after the failure OnInit is tried again.
func (e *InitError) RetryAfter() time.Duration {
	after := firstInitRetry
	for range e.Failures - 1 {
		if after *= 2; after >= lastInitRetry {
			return lastInitRetry
		}
	}
	return after
}

// Error implements error.
func (e *InitError) Error() string { return e.Text }

// InitConfig says what is to be initialised.
type InitConfig struct {
	ID, Generation string
	// Replica is the identity of this replica.
	Replica string
	// Served says that this replica serves the generation already.
	Served bool
	// Retry is the revision of the failure that is to be tried again; 0 is none.
	Retry uint64
	// Failures is how often it has failed in a row until then; 0 begins to count anew.
	Failures int
	// Run runs OnInit. InitRun tells which run of it a context is of.
	Run func(ctx context.Context) error
	// Held is the run of OnInit by which this replica serves the generation already.
	Held string
	// Hold is told which run of OnInit the generation is initialised by, before others can
	// rely on that: the heartbeat is to list it from then on. Empty is none, after a failure.
	Hold func(run string)
	// Forget removes what a run of OnInit that has not succeeded has set without an id.
	Forget func(ctx context.Context, run string) error
}

// Initialise runs the OnInit of a generation once in the whole cluster, and returns
// on every replica how it ended: nil or an *InitError. It is run again when the
// replica dies while it runs, when nobody is left of those that ran or served it,
// when nobody serves it and that of another generation has run meanwhile, and for a
// retry. Any other error, such as that of ctx, says that nobody knows how
// it ended. If ctx ends with ErrInitGivenUp, an OnInit that runs here counts as failed.
func (h *Heartbeat) Initialise(ctx context.Context, config InitConfig) error {
	state, err := h.handle.State(ctx)
	if err != nil {
		return err
	}
	records, err := h.handle.OpenRecords(ctx, jet.StateBucket)
	if err != nil {
		return err
	}
	moved := make(chan struct{}, 1)
	key := subjects.InitKey(config.ID, config.Generation)
	defer state.Listen(key, func(jet.Change) {
		select {
		case moved <- struct{}{}:
		default:
		}
	})()
	i := &initialising{InitConfig: config, heartbeat: h, state: state, records: records, key: key, moved: moved}
	if config.Served {
		i.run = config.Held
		i.Hold(i.run)
	}
	for {
		settled, err := i.step(ctx)
		if settled || ctx.Err() != nil {
			if err = errors.Join(err, context.Cause(ctx)); err != nil {
				i.Hold("")
			}
			return err
		}
		if err != nil {
			h.handle.Logger().Warn("OnInit waits", "plugin", config.ID, "error", err)
		}
		if err := i.await(ctx); err != nil {
			i.Hold("")
			return err
		}
	}
}

// initialising is one attempt to have a generation initialised.
type initialising struct {
	InitConfig
	heartbeat *Heartbeat
	state     *jet.View
	records   jet.Records
	key       string
	moved     chan struct{}   // has a token when the record has moved
	beats     <-chan struct{} // closed at the next heartbeat
	waited    bool            // for a run on another replica
	run       string          // that others know this replica to hold
}

// step does what the record calls for, and says whether that settles it.
func (i *initialising) step(ctx context.Context) (settled bool, err error) {
	i.beats = i.heartbeat.Changed()
	var record subjects.InitRecord
	revision, err := i.records.Get(ctx, i.key, &record)
	if err != nil && !errors.Is(err, jet.ErrNoRecord) {
		return false, err
	}
	none := errors.Is(err, jet.ErrNoRecord)
	switch {
	case !none && i.isOlder(record):
		record.State = subjects.InitDone
		return i.adoptServed(ctx, record, revision)
	case record.State == subjects.InitRunning:
		if record.Replica == i.Replica || !i.heartbeat.Alive(record.Replica) {
			return i.take(ctx, record, revision, record.Failures)
		}
		i.waited = true
		return false, nil
	case record.State == subjects.InitFailed && revision == i.Retry:
		return i.take(ctx, record, revision, i.Failures)
	case i.Served:
		return true, outcome(record, revision)
	case i.waited && !none:
		return i.adopt(ctx, record, revision, record.Run)
	}
	holds := !none && !i.isSuperseded(revision)
	if holds && record.Replica == i.Replica {
		return i.adopt(ctx, record, revision, record.Run)
	}
	found, certain := i.heartbeat.Others(func(other subjects.Heartbeat) bool {
		// Who ran it and serves nothing yet is about to serve it.
		ran := other.Replica == record.Replica && (holds || slices.Contains(other.Unserved, i.ID))
		return other.Generations[i.ID] == i.Generation || !none && (ran || other.Failed[i.ID] == i.Generation)
	})
	switch {
	case !certain, none && !found && i.mayBeLost():
		return false, nil // whether they live, their next heartbeat tells
	case found:
		return i.adoptServed(ctx, record, revision)
	default:
		return i.take(ctx, record, revision, 0)
	}
}

// adoptServed is adopt of the run that those hold who serve the generation, or of the
// record's.
func (i *initialising) adoptServed(ctx context.Context, record subjects.InitRecord, revision uint64) (settled bool, err error) {
	if i.Served {
		return true, outcome(record, revision)
	}
	run, isServed := i.heartbeat.servedBy(i.ID, i.Generation, record)
	if !isServed {
		run = record.Run
	}
	return i.adopt(ctx, record, revision, run)
}

// isOlder says whether a record is from before its OnInit went well, as where the bucket came
// back older: the generation is served by the replica that ran it, or by this one.
func (i *initialising) isOlder(record subjects.InitRecord) bool {
	if record.State == subjects.InitDone {
		return false
	}
	serves, _ := i.heartbeat.Others(func(other subjects.Heartbeat) bool {
		return other.Replica == record.Replica && other.Generations[i.ID] == i.Generation
	})
	return serves || i.Served
}

// mayBeLost says whether a record that is not there may have been lost with the heartbeats of
// those who ran or serve the generation, as where the bucket came back older: they beat again
// within a moment.
func (i *initialising) mayBeLost() bool {
	return time.Since(i.heartbeat.started) < Lease/2 && time.Since(i.state.Made()) > Lease
}

// isSuperseded says whether the OnInit of another generation has run after the one of
// which the record has this revision.
func (i *initialising) isSuperseded(revision uint64) bool {
	return slices.ContainsFunc(i.state.Under(subjects.InitKeys(i.ID)), func(other jet.Change) bool {
		return other.Key != i.key && other.Revision > revision
	})
}

func outcome(record subjects.InitRecord, revision uint64) error {
	if record.State == subjects.InitFailed {
		return &InitError{Replica: record.Replica, Text: record.Error, Revision: revision, Failures: max(record.Failures, 1)}
	}
	return nil
}

// adopt takes over how a run of OnInit has ended. One that has succeeded is adopted once
// the others know that this replica holds it, and if nothing has changed until then: what
// it has set without an id is not to go meanwhile.
func (i *initialising) adopt(ctx context.Context, record subjects.InitRecord, revision uint64, run string) (settled bool, err error) {
	if failure := outcome(record, revision); failure != nil || i.run == run {
		return true, failure
	}
	i.Hold(run)
	if err := i.heartbeat.beatSeen(ctx); err != nil {
		return false, err
	}
	i.run = run
	select {
	case i.moved <- struct{}{}:
	default:
	}
	return false, nil
}

// take runs OnInit, which has failed so often in a row, if nobody else takes it.
func (i *initialising) take(ctx context.Context, before subjects.InitRecord, revision uint64, failures int) (settled bool, err error) {
	if revision, err = i.abandon(ctx, before, revision); err != nil {
		return false, jet.IgnoreMoved(err)
	}
	record := subjects.InitRecord{
		V: subjects.Version, Plugin: i.ID, Generation: i.Generation,
		State: subjects.InitRunning, Replica: i.Replica, Attempt: before.Attempt + 1, Failures: failures,
	}
	record.Run = jet.NewNonce()
	record.Succeeded, record.SucceededAt = knownInit{InitRecord: before, revision: revision}.succeeded()
	if revision, err = i.records.Update(ctx, i.key, record, revision); err != nil {
		return false, jet.IgnoreMoved(err)
	}
	i.run = record.Run
	i.Hold(i.run)
	_ = i.heartbeat.Beat(ctx) // others are to know that we have the plugin
	err = i.Run(withInitRun(ctx, record.Run))
	if ctx.Err() != nil {
		if !errors.Is(context.Cause(ctx), ErrInitGivenUp) {
			return true, err // left to others, who see us gone
		}
		// Others would wait for this replica, which goes on and runs it no more.
		err = fmt.Errorf("OnInit: %w", ErrInitGivenUp)
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), Lease)
		defer cancel()
	}
	record.State, record.Failures = subjects.InitDone, 0
	if err != nil {
		record.State, record.Failures, record.Error = subjects.InitFailed, failures+1, excerpt.Cut(err.Error(), MaxReason)
	}
	for {
		written, err := i.records.Update(ctx, i.key, record, revision)
		switch {
		case err == nil:
			i.prune(ctx)
			if record.State == subjects.InitFailed {
				_ = i.Forget(ctx, record.Run) // the leader does it later
			}
			return true, outcome(record, written)
		case errors.Is(err, jet.ErrMoved):
			return i.mine(ctx, record)
		case jet.Pause(ctx, jet.RetryPause) != nil:
			return true, err
		}
	}
}

// abandon takes an attempt that has not succeeded from its replica, which may be stalled,
// and then removes what that has set without an id. It returns the record's revision.
func (i *initialising) abandon(ctx context.Context, before subjects.InitRecord, revision uint64) (_ uint64, err error) {
	if before.Run == "" || before.State == subjects.InitDone {
		return revision, nil
	}
	if before.State == subjects.InitRunning && before.Replica != "" {
		before.Replica = ""
		if revision, err = i.records.Update(ctx, i.key, before, revision); err != nil {
			return 0, err
		}
	}
	return revision, i.Forget(ctx, before.Run)
}

// initRun is where a context keeps of which run of OnInit it is.
type initRun struct{}

func withInitRun(ctx context.Context, run string) context.Context {
	return context.WithValue(ctx, initRun{}, run)
}

// InitRun is the run of OnInit that a call with this context is; empty is another call.
func InitRun(ctx context.Context) string {
	run, _ := ctx.Value(initRun{}).(string)
	return run
}

// mine says whether the record is what we have written, without an answer; if
// not, another replica took over while we stalled.
func (i *initialising) mine(ctx context.Context, written subjects.InitRecord) (settled bool, err error) {
	var record subjects.InitRecord
	revision, err := i.records.Get(ctx, i.key, &record)
	if err == nil && record == written {
		return true, outcome(record, revision)
	}
	return false, err
}

// AwaitInitRetry waits until a failed OnInit is to be tried again: RetryAfter from now, or
// at once when its record has moved, as another replica tries or has. Any error is that of
// ctx, or says that the state bucket cannot be followed.
func (h *Heartbeat) AwaitInitRetry(ctx context.Context, id, generation string, failed *InitError) error {
	state, err := h.handle.State(ctx)
	if err != nil {
		return err
	}
	moved := make(chan struct{})
	var once sync.Once
	defer state.Listen(subjects.InitKey(id, generation), func(c jet.Change) {
		if c.Gone || c.Revision > failed.Revision { // what is known may be older than the failure
			once.Do(func() { close(moved) })
		}
	})()
	timer := time.NewTimer(failed.RetryAfter())
	defer timer.Stop()
	select {
	case <-moved:
	case <-timer.C:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// await waits until the record may call for something else.
func (i *initialising) await(ctx context.Context) error {
	timer := time.NewTimer(Lease / 6)
	defer timer.Stop()
	select {
	case <-i.moved:
	case <-i.beats:
	case <-timer.C:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// prune forgets the oldest generations of a plugin.
func (i *initialising) prune(ctx context.Context) {
	old := i.state.Under(subjects.InitKeys(i.ID))
	if len(old) <= keptInits {
		return
	}
	slices.SortFunc(old, func(a, b jet.Change) int { return int(int64(a.Revision) - int64(b.Revision)) })
	for _, record := range old[:len(old)-keptInits] {
		// Who writes it now keeps it.
		_ = i.records.Remove(ctx, record.Key, record.Revision)
	}
}

// ForgetInits forgets which generations of a plugin have been initialised: after it
// was removed, it is a new one.
func (h *Heartbeat) ForgetInits(ctx context.Context, id string) error {
	return h.handle.Forget(ctx, subjects.InitKeys(id))
}
