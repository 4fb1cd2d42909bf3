package bus

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/subjects"
)

const (
	// faultAfter is for how long writes to a stream must fail until that counts as a fault:
	// longer than most elections of a JetStream leader.
	faultAfter = 2 * Lease
	// faultCount is how many writes must have failed: one can have waited while this process
	// was stopped.
	faultCount = 3
	// faultFor is for how long a fault counts of a stream that nobody tries to write to any
	// more; the heartbeat writes to that of the state all the time.
	faultFor = 10 * Lease
	// unanswered is how long a write must have waited for its answer to count as failed:
	// a caller may have been in a hurry.
	unanswered = Lease / 10
)

// WriteFault says that JetStream takes no writes to a stream, or does not answer what is asked
// before one, for two leases or longer.
type WriteFault struct {
	// Stream is the name of the stream.
	Stream string
	// Since is when the first write was begun that failed.
	Since time.Time
	// Cause says why, as far as NATS tells, and what to do.
	Cause string
}

// writes are the writes of this replica to the streams of JetStream: those which fail. A read
// that precedes a write counts as well, as the write is not tried then.
type writes struct {
	mu      sync.Mutex
	failing map[access]*failingWrites
	told    string // the stream of the fault that the log has told last; empty is none
	// restarted is when JetStream of the embedded server was last started again.
	restarted time.Time // of the goroutine that watches
}

// access is what is done to a stream.
type access struct {
	stream string
	reads  bool
}

// failingWrites are writes to one stream, or reads of it, since the last that was carried out.
type failingWrites struct {
	since, last time.Time // when the first was begun, and the last has failed
	count       int
	err         error // of the last
}

func newWrites() *writes { return &writes{failing: make(map[access]*failingWrites)} }

// note notes what became of a write that was begun at a time. A refusal that goes by what
// the stream holds tells nothing.
func (w *writes) note(stream string, begun time.Time, err error) {
	var refused *jetstream.APIError
	switch {
	case err == nil:
		w.carriedOut(stream)
	case errors.Is(err, errMoved):
	case errors.As(err, &refused):
		isFull := refused.ErrorCode == codeSubjectFull && stream == subjects.FireStream
		if refused.Code >= http.StatusInternalServerError && !isFull {
			w.failed(access{stream: stream}, begun, err)
		}
	case isUnanswered(begun, err):
		w.failed(access{stream: stream}, begun, err)
	}
}

// noteRead notes what became of a read by the stream's leader that was begun at a time. Any
// answer will do.
func (w *writes) noteRead(stream string, begun time.Time, err error) {
	read := access{stream: stream, reads: true}
	var refused *jetstream.APIError
	switch {
	case err == nil, errors.Is(err, jetstream.ErrMsgNotFound), errors.As(err, &refused):
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.failing, read)
	case isUnanswered(begun, err):
		w.failed(read, begun, err)
	}
}

// isUnanswered tells that nobody has answered what was begun at a time.
func isUnanswered(begun time.Time, err error) bool {
	return errors.Is(err, jetstream.ErrNoStreamResponse) || errors.Is(err, nats.ErrNoResponders) || time.Since(begun) >= unanswered
}

// isFull says whether the last heartbeat was refused because JetStream stores no more.
func (w *writes) isFull() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := w.failing[access{stream: stateBucket.stream()}]
	return f != nil && isFullStore(f.err)
}

func (w *writes) carriedOut(stream string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.failing, access{stream: stream})
	delete(w.failing, access{stream: stream, reads: true})
}

func (w *writes) failed(of access, begun time.Time, err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	f := w.failing[of]
	if f == nil {
		f = &failingWrites{since: begun}
		w.failing[of] = f
	}
	f.last, f.err = time.Now(), err
	f.count++
}

// fault is the fault of a stream without its cause, that of the state before all others; err
// is that of the last write, nil if there is no fault.
func (w *writes) fault(now time.Time) (fault WriteFault, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, of := range slices.SortedFunc(maps.Keys(w.failing), stateFirst) {
		f := w.failing[of]
		isHeartbeat := of == access{stream: stateBucket.stream()}
		switch {
		case !isHeartbeat && now.Sub(f.last) > faultFor:
			delete(w.failing, of)
		case f.count >= faultCount && now.Sub(f.since) >= faultAfter && (isHeartbeat || f.last.Sub(f.since) >= faultAfter):
			return WriteFault{Stream: of.stream, Since: f.since}, f.err
		}
	}
	return WriteFault{}, nil
}

// stateFirst orders by streams, and writes before reads.
func stateFirst(a, b access) int {
	state := stateBucket.stream()
	switch {
	case a == b:
		return 0
	case a.stream == b.stream:
		if b.reads {
			return -1
		}
		return 1
	case a.stream == state, b.stream != state && a.stream < b.stream:
		return -1
	default:
		return 1
	}
}

// found notes that the log is told of a fault, and says whether it is a new one.
func (w *writes) found(fault WriteFault) (isNew bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	isNew = w.told == ""
	w.told = fault.Stream
	return isNew
}

// over notes that there is no fault, and returns the stream of the one before.
func (w *writes) over() (stream string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	stream, w.told = w.told, ""
	return stream
}

// WriteFault says that JetStream takes no writes to a stream of ours, for two leases or
// longer; nil is that it takes them. It is over with the first that is carried out.
func (b *Bus) WriteFault() *WriteFault {
	fault, err := b.writes.fault(time.Now())
	if err == nil {
		return nil
	}
	fault.Cause = b.causeOf(err)
	return &fault
}

// LeavePatience is how long a replica that leaves tries to write what others can do
// without: shorter while no writes are taken.
func (b *Bus) LeavePatience() time.Duration {
	if b.WriteFault() != nil {
		return Lease / 3
	}
	return settleAfter
}

// watchWrites looks for faults until ctx is over: it tells the log when one begins and when
// it is over, and does what can be done about it.
func (b *Bus) watchWrites(ctx context.Context) {
	ticker := time.NewTicker(Lease / 3)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		b.lookAtWrites(ctx)
	}
}

func (b *Bus) lookAtWrites(ctx context.Context) {
	log := b.config.Logger
	b.keepRoom()
	fault, err := b.writes.fault(time.Now())
	defer b.keepOffer(ctx, err != nil) // last, as it may wait for answers
	if err == nil {
		if stream := b.writes.over(); stream != "" {
			log.Info("JetStream takes writes again", "stream", stream)
		}
		return
	}
	if b.writes.found(fault) {
		log.Error("JetStream takes no writes: this replica is not ready, and schedules wait; calls go on",
			"stream", fault.Stream, "since", fault.Since.Round(time.Millisecond), "cause", b.causeOf(err))
	}
	if b.embedded != nil && !b.config.Memory && !isLimit(err) && b.Connected() {
		b.restartJetStream()
	}
}

// Codes of the server for limits that are reached.
const (
	codeAccountResources jetstream.ErrorCode = 10002
	codeInsufficient     jetstream.ErrorCode = 10023
	codeStorageResources jetstream.ErrorCode = 10047
)

// isFullStore tells writes that are refused because of what JetStream stores in all.
func isFullStore(err error) bool {
	var refused *jetstream.APIError
	return errors.As(err, &refused) &&
		(refused.ErrorCode == codeAccountResources || refused.ErrorCode == codeInsufficient || refused.ErrorCode == codeStorageResources)
}

// isLimit tells writes that are refused because a limit is reached.
func isLimit(err error) bool {
	var refused *jetstream.APIError
	return isFullStore(err) || errors.As(err, &refused) && refused.ErrorCode == codeSubjectFull
}

// causeOf says why writes to a stream fail, in words for an operator.
func (b *Bus) causeOf(err error) string {
	var refused *jetstream.APIError
	switch {
	case !b.Connected():
		return "no connection to NATS"
	case isLimit(err) && errors.As(err, &refused):
		return fmt.Sprintf("NATS refuses them: %s (%d): a limit of JetStream, of its server, the account or the stream, is reached: "+
			"raise it (max_file_store or max_memory_store, the account's limits, max_bytes), or remove data", refused.Description, refused.ErrorCode)
	case errors.As(err, &refused):
		return fmt.Sprintf("NATS refuses them: %s (%d): see the log of nats-server", refused.Description, refused.ErrorCode)
	case b.embedded != nil:
		return b.embedded.cause(err)
	}
	cause := fmt.Sprintf("JetStream does not answer them (%v): the disk of nats-server is full or read-only, or was (`no space left on device` in its log), or its servers have no majority: "+
		"make room, and restart nats-server, which does not write to a stream any more after a write has failed", err)
	if b.core.ConnectedClusterName() != "" {
		// It leads on while it hangs in a write, and hears no request to step down.
		cause += ". Of several servers restart at once, also without room, the one that answers 503 at /healthz?js-enabled-only=true: it can hang and keep the lead of a stream until it ends"
	}
	return cause
}
