package bus

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
	// errNoRecord says that there is no record under a key.
	errNoRecord = errors.New("no such record")
	// errMoved says that a record is not, or no longer, at the revision that was to
	// be replaced.
	errMoved = errors.New("the record has changed meanwhile")
)

const (
	// recordAttempt is how long a stream's leader is given to answer before it is
	// asked again: without a leader a question gets no answer at all.
	recordAttempt = time.Second
	// removedTTL is how long it is told that a record was removed.
	removedTTL = time.Minute
)

// records are the JSON records of a bucket. Operations last until they are
// carried out, refused, or ctx is over; after another error than those named, a
// write may have been carried out.
type records struct {
	bus    *Bus
	of     bucket
	kv     jetstream.KeyValue
	stream jetstream.Stream
	// told is how long it is told that a record was removed.
	told time.Duration
}

func (b *Bus) records(ctx context.Context, of bucket) (records, error) {
	kv, err := b.openBucket(ctx, of)
	if err != nil {
		return records{}, err
	}
	stream, err := b.openStream(ctx, of.stream())
	if err != nil {
		return records{}, err
	}
	return records{bus: b, of: of, kv: kv, stream: stream, told: removedTTL}, nil
}

// attempt carries out one operation, again while nobody answers.
func (r records) attempt(ctx context.Context, operation func(context.Context) error) error {
	return r.bus.insist(ctx, func() {}, func() error {
		ctx, cancel := context.WithTimeout(ctx, recordAttempt)
		defer cancel()
		return operation(ctx)
	}, context.DeadlineExceeded, nats.ErrTimeout)
}

// get reads a record into one of its type and returns its revision. None is
// errNoRecord, with the revision at which it was removed, 0 where nobody knows of one:
// an update of that fails where a record was there meanwhile.
func (r records) get(ctx context.Context, key string, into any) (revision uint64, err error) {
	err = r.attempt(ctx, func(ctx context.Context) error {
		revision = 0
		begun := time.Now()
		msg, err := r.stream.GetLastMsgForSubject(ctx, r.of.subject(key))
		r.bus.writes.noteRead(r.of.stream(), begun, err)
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound):
			return errNoRecord
		case err != nil:
			return err
		}
		revision = msg.Sequence
		if msg.Header.Get(subjects.KVOperation) != "" { // that it was removed
			return errNoRecord
		}
		return json.Unmarshal(msg.Data, into)
	})
	return revision, err
}

// isUnreadable tells a record that somebody else has written from a failure to read
// it: it can be replaced.
func isUnreadable(err error) bool {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	var at *time.ParseError
	return errors.As(err, &syntax) || errors.As(err, &kind) || errors.As(err, &at)
}

// put writes a record whatever is there.
func (r records) put(ctx context.Context, key string, record any) error {
	body, err := json.Marshal(record)
	if err != nil {
		return err
	}
	return r.attempt(ctx, func(ctx context.Context) error {
		begun := time.Now()
		_, err := r.bus.js.PublishMsg(ctx, r.of.message(key, body))
		r.bus.writes.note(r.of.stream(), begun, err)
		return err
	})
}

// update writes a record in the place of what get has found at a revision, and returns
// its own; errMoved is that there is something else. It tries once: what
// became of an attempt without an answer, only the record tells.
func (r records) update(ctx context.Context, key string, record any, revision uint64) (uint64, error) {
	body, err := json.Marshal(record)
	if err != nil {
		return 0, err
	}
	if err := r.bus.awaitConnected(ctx); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, recordAttempt)
	defer cancel()
	begun := time.Now()
	written, err := r.bus.replace(ctx, r.of.message(key, body), revision)
	r.bus.writes.note(r.of.stream(), begun, err)
	return written, err
}

// replace writes a key in the place of what is at a revision, 0 where there is nothing,
// and returns its own; errMoved is that there is something else.
func (b *Bus) replace(ctx context.Context, msg *nats.Msg, revision uint64) (uint64, error) {
	ack, err := b.js.PublishMsg(ctx, msg, jetstream.WithExpectLastSequencePerSubject(revision))
	if err != nil {
		return 0, movedOr(err)
	}
	return ack.Sequence, nil
}

// remove removes the record at a revision; errMoved is that there is another. It
// tries once.
func (r records) remove(ctx context.Context, key string, revision uint64) error {
	if err := r.bus.awaitConnected(ctx); err != nil {
		return err
	}
	if revision == 0 { // which would be no condition
		return errMoved
	}
	ctx, cancel := context.WithTimeout(ctx, recordAttempt)
	defer cancel()
	begun := time.Now()
	err := r.kv.Purge(ctx, key, jetstream.LastRevision(revision), jetstream.PurgeTTL(r.told))
	r.bus.writes.note(r.of.stream(), begun, err)
	return movedOr(err)
}

// movedOr tells errMoved by the server's codes for it.
func movedOr(err error) error {
	var refused *jetstream.APIError
	if errors.Is(err, jetstream.ErrKeyExists) || errors.As(err, &refused) &&
		(refused.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || refused.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant) {
		return errMoved
	}
	return err
}

// isRefusal tells a write that was not carried out from one that may have been.
func isRefusal(err error) bool {
	var refused *jetstream.APIError
	return errors.Is(err, errMoved) || errors.As(err, &refused)
}

// decode reads a record of a follower's change.
func (c change) decode(into any) error {
	if err := json.Unmarshal(c.value, into); err != nil {
		return fmt.Errorf("record %s: %w", c.key, err)
	}
	return nil
}

// newNonce makes a text that is not made again.
func newNonce() string { return nuid.Next() }
