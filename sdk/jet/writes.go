package jet

import (
	"context"
	"errors"
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
	// faultCount is how many writes must have failed: one can have waited while this process
	// was stopped.
	faultCount = 3
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

// Writes are the writes of this replica to the streams of JetStream: those which fail. A read
// that precedes a write counts as well, as the write is not tried then.
type Writes struct {
	// faultAfter is for how long writes to a stream must fail until that counts as a fault:
	// longer than most elections of a JetStream leader.
	faultAfter time.Duration
	// faultFor is for how long a fault counts of a stream that nobody tries to write to any
	// more; the heartbeat writes to that of the state all the time.
	faultFor time.Duration
	// unanswered is how long a write must have waited for its answer to count as failed:
	// a caller may have been in a hurry.
	unanswered time.Duration

	mu      sync.Mutex
	failing map[access]*failingWrites
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

func newWrites(lease time.Duration) *Writes {
	return &Writes{faultAfter: 2 * lease, faultFor: 10 * lease, unanswered: lease / 10, failing: make(map[access]*failingWrites)}
}

// Note notes what became of a write that was begun at a time. A refusal that goes by what
// the stream holds tells nothing.
func (w *Writes) Note(stream string, begun time.Time, err error) {
	var refused *jetstream.APIError
	switch {
	case err == nil:
		w.CarriedOut(stream)
	case errors.Is(err, ErrMoved):
	case errors.As(err, &refused):
		isFull := refused.ErrorCode == CodeSubjectFull && stream == subjects.FireStream
		if refused.Code >= http.StatusInternalServerError && !isFull {
			w.Failed(stream, begun, err)
		}
	case w.isUnanswered(begun, err):
		w.Failed(stream, begun, err)
	}
}

// NoteRead notes what became of a read by the stream's leader that was begun at a time. Any
// answer will do.
func (w *Writes) NoteRead(stream string, begun time.Time, err error) {
	read := access{stream: stream, reads: true}
	var refused *jetstream.APIError
	switch {
	case err == nil, errors.Is(err, jetstream.ErrMsgNotFound), errors.As(err, &refused):
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.failing, read)
	case w.isUnanswered(begun, err):
		w.fail(read, begun, err)
	}
}

// isUnanswered tells that nobody has answered what was begun at a time.
func (w *Writes) isUnanswered(begun time.Time, err error) bool {
	return errors.Is(err, jetstream.ErrNoStreamResponse) || errors.Is(err, nats.ErrNoResponders) || time.Since(begun) >= w.unanswered
}

// isFull says whether the last heartbeat was refused because JetStream stores no more.
func (w *Writes) isFull() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := w.failing[access{stream: StateBucket.Stream()}]
	return f != nil && IsFullStore(f.err)
}

// Failed notes that a write which was begun at a time was not carried out, whatever the reason.
func (w *Writes) Failed(stream string, begun time.Time, err error) {
	w.fail(access{stream: stream}, begun, err)
}

// CarriedOut notes that a write was carried out.
func (w *Writes) CarriedOut(stream string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.failing, access{stream: stream})
	delete(w.failing, access{stream: stream, reads: true})
}

func (w *Writes) fail(of access, begun time.Time, err error) {
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

// Fault is the fault of a stream without its cause, that of the state before all others; err
// is that of the last write, nil if there is no fault.
func (w *Writes) Fault(now time.Time) (fault WriteFault, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, of := range slices.SortedFunc(maps.Keys(w.failing), stateFirst) {
		f := w.failing[of]
		isHeartbeat := of == access{stream: StateBucket.Stream()}
		switch {
		case !isHeartbeat && now.Sub(f.last) > w.faultFor:
			delete(w.failing, of)
		case f.count >= faultCount && now.Sub(f.since) >= w.faultAfter && (isHeartbeat || f.last.Sub(f.since) >= w.faultAfter):
			return WriteFault{Stream: of.stream, Since: f.since}, f.err
		}
	}
	return WriteFault{}, nil
}

// stateFirst orders by streams, and writes before reads.
func stateFirst(a, b access) int {
	state := StateBucket.Stream()
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

// CodeSubjectFull is the server's code for a message that a subject has no place for.
const CodeSubjectFull jetstream.ErrorCode = 10077

// Codes of the server for limits that are reached.
const (
	codeAccountResources jetstream.ErrorCode = 10002
	codeInsufficient     jetstream.ErrorCode = 10023
	codeStorageResources jetstream.ErrorCode = 10047
)

// IsFullStore tells writes that are refused because of what JetStream stores in all.
func IsFullStore(err error) bool {
	var refused *jetstream.APIError
	return errors.As(err, &refused) &&
		(refused.ErrorCode == codeAccountResources || refused.ErrorCode == codeInsufficient || refused.ErrorCode == codeStorageResources)
}

// IsLimit tells writes that are refused because a limit is reached.
func IsLimit(err error) bool {
	var refused *jetstream.APIError
	return IsFullStore(err) || errors.As(err, &refused) && refused.ErrorCode == CodeSubjectFull
}

// leavePatience is how long a program that leaves tries to write what others can do without.
const leavePatience = 5 * time.Second

// LeavePatience is how long a program that leaves tries to write what others can do without:
// shorter while no writes are taken.
func (h *Handle) LeavePatience() time.Duration {
	if _, err := h.writes.Fault(time.Now()); err != nil {
		return h.config.Lease / 3
	}
	return leavePatience
}
