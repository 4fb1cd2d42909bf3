package jet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/pluginhost/pluginhost/subjects"
)

var (
	// ErrNoRecord says that there is no record under a key.
	ErrNoRecord = errors.New("no such record")
	// ErrMoved says that a record is not, or no longer, at the revision that was to
	// be replaced.
	ErrMoved = errors.New("the record has changed meanwhile")
)

const (
	// AttemptTimeout is how long a stream's leader is given to answer before it is
	// asked again: without a leader a question gets no answer at all.
	AttemptTimeout = time.Second
	// RecordTimeout bounds what is done with a record, beside the caller's own deadline. It is longer
	// than most elections of a JetStream leader.
	RecordTimeout = 15 * time.Second
	// removedTTL is Config.RemovedTTL by default.
	removedTTL = time.Minute
)

// Records are the JSON records of a bucket. Operations last until they are
// carried out, refused, or ctx is over; after another error than those named, a
// write may have been carried out.
type Records struct {
	handle *Handle
	of     Bucket
	kv     jetstream.KeyValue
	stream jetstream.Stream
}

// OpenRecords opens the records of a bucket that is there.
func (h *Handle) OpenRecords(ctx context.Context, of Bucket) (Records, error) {
	kv, err := h.OpenBucket(ctx, of)
	if err != nil {
		return Records{}, err
	}
	stream, err := h.OpenStream(ctx, of.Stream())
	if err != nil {
		return Records{}, err
	}
	return Records{handle: h, of: of, kv: kv, stream: stream}, nil
}

// attempt carries out one operation, again while nobody answers.
func (r Records) attempt(ctx context.Context, operation func(context.Context) error) error {
	return r.handle.Insist(ctx, func() {}, func() error {
		ctx, cancel := context.WithTimeout(ctx, AttemptTimeout)
		defer cancel()
		return operation(ctx)
	}, context.DeadlineExceeded, nats.ErrTimeout)
}

// Get reads a record into one of its type and returns its revision. The error is ErrNoRecord if
// the key has no record; the revision is then that of its removal, 0 if there is none, and an
// Update at it fails if somebody has written since.
func (r Records) Get(ctx context.Context, key string, into any) (revision uint64, err error) {
	err = r.attempt(ctx, func(ctx context.Context) error {
		revision = 0
		begun := time.Now()
		msg, err := r.stream.GetLastMsgForSubject(ctx, r.of.Subject(key))
		r.handle.writes.NoteRead(r.of.Stream(), begun, err)
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound):
			return ErrNoRecord
		case err != nil:
			return err
		}
		revision = msg.Sequence
		if msg.Header.Get(subjects.KVOperation) != "" { // that it was removed
			return ErrNoRecord
		}
		return json.Unmarshal(msg.Data, into)
	})
	return revision, err
}

// IsUnreadable tells a record that somebody else has written from a failure to read
// it: it can be replaced.
func IsUnreadable(err error) bool {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	var at *time.ParseError
	return errors.As(err, &syntax) || errors.As(err, &kind) || errors.As(err, &at)
}

// Put writes a record whatever is there.
func (r Records) Put(ctx context.Context, key string, record any) error {
	body, err := json.Marshal(record)
	if err != nil {
		return err
	}
	return r.attempt(ctx, func(ctx context.Context) error {
		begun := time.Now()
		_, err := r.handle.js.PublishMsg(ctx, r.of.Message(key, body))
		r.handle.writes.Note(r.of.Stream(), begun, err)
		return err
	})
}

// Update writes a record in the place of what Get has found at a revision, and returns
// its own; ErrMoved is that there is something else. It tries once: what
// became of an attempt without an answer, only the record tells.
func (r Records) Update(ctx context.Context, key string, record any, revision uint64) (uint64, error) {
	body, err := json.Marshal(record)
	if err != nil {
		return 0, err
	}
	if err := r.handle.AwaitConnected(ctx); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, AttemptTimeout)
	defer cancel()
	begun := time.Now()
	written, err := r.handle.Replace(ctx, r.of.Message(key, body), revision)
	r.handle.writes.Note(r.of.Stream(), begun, err)
	return written, err
}

// Replace writes a key in the place of what is at a revision, 0 where there is nothing,
// and returns its own; ErrMoved is that there is something else.
func (h *Handle) Replace(ctx context.Context, msg *nats.Msg, revision uint64) (uint64, error) {
	ack, err := h.js.PublishMsg(ctx, msg, jetstream.WithExpectLastSequencePerSubject(revision))
	if err != nil {
		return 0, MovedOr(err)
	}
	return ack.Sequence, nil
}

// Remove removes the record at a revision; ErrMoved is that there is another. It
// tries once.
func (r Records) Remove(ctx context.Context, key string, revision uint64) error {
	if err := r.handle.AwaitConnected(ctx); err != nil {
		return err
	}
	if revision == 0 { // which would be no condition
		return ErrMoved
	}
	ctx, cancel := context.WithTimeout(ctx, AttemptTimeout)
	defer cancel()
	begun := time.Now()
	err := r.kv.Purge(ctx, key, jetstream.LastRevision(revision), jetstream.PurgeTTL(r.handle.config.RemovedTTL))
	r.handle.writes.Note(r.of.Stream(), begun, err)
	return MovedOr(err)
}

// codeWrongLastSequence is the server's code on a cluster for what JSErrCodeStreamWrongLastSequence is on one server. The
// oldest nats.go that does has no name for it.
const codeWrongLastSequence jetstream.ErrorCode = 10164

// MovedOr tells ErrMoved by the server's codes for it.
func MovedOr(err error) error {
	var refused *jetstream.APIError
	if errors.Is(err, jetstream.ErrKeyExists) || errors.As(err, &refused) &&
		(refused.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || refused.ErrorCode == codeWrongLastSequence) {
		return ErrMoved
	}
	return err
}

// IsRefusal tells a write that was not carried out from one that may have been.
func IsRefusal(err error) bool {
	var refused *jetstream.APIError
	return errors.Is(err, ErrMoved) || errors.As(err, &refused)
}

// Decode reads a record of a follower's change.
func (c Change) Decode(into any) error {
	if err := json.Unmarshal(c.Value, into); err != nil {
		return fmt.Errorf("record %s: %w", c.Key, err)
	}
	return nil
}

// NewNonce makes a text that is not made again.
func NewNonce() string { return nuid.Next() }

// IgnoreMoved leaves out that a record is not what it was: whoever asks looks again.
func IgnoreMoved(err error) error {
	if errors.Is(err, ErrMoved) {
		return nil
	}
	return err
}
