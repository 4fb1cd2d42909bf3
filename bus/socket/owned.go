package socket

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pluginhost/pluginhost/bus/cluster"
	"github.com/pluginhost/pluginhost/sdk/excerpt"
	"github.com/pluginhost/pluginhost/sdk/jet"
	"github.com/pluginhost/pluginhost/subjects"
)

// Owned is a connection that this replica owns, or is taking over. It is for
// one goroutine at a time, but for Restore.
type Owned struct {
	sockets *Sockets
	key     string
	// mu is held while the record is written, from when it is owned.
	mu       sync.Mutex
	over     bool // it is not to be written again
	revision uint64
	record   subjects.SocketRecord
	lapses   uint64    // of our heartbeat, when we were last sure that it is ours
	made     time.Time // when the bucket was, in which the record is
	retold   bool
}

// Own records that this replica owns a connection, in the place of one under the
// same id. init is the run of OnInit that opened it without an id. After an error it may
// have been recorded all the same: the caller has it undone with Disown.
func (s *Sockets) Own(ctx context.Context, id, connection, init string) (*Owned, error) {
	o := &Owned{sockets: s, key: subjects.SocketKey(id, connection), record: subjects.SocketRecord{
		V: subjects.Version, Plugin: id, Connection: []byte(connection), Init: init, Replica: s.config.Replica, Dial: jet.NewNonce(), Opened: time.Now().UTC(),
	}, made: s.state.Made()}
	ctx, cancel := context.WithTimeout(ctx, jet.RecordTimeout)
	defer cancel()
	for {
		var before subjects.SocketRecord
		revision, err := s.records.Get(ctx, o.key, &before)
		if err != nil && !errors.Is(err, jet.ErrNoRecord) {
			return o, fmt.Errorf("record of the connection: %w", err)
		}
		o.revision = revision
		if err == nil && before.Dial == o.record.Dial { // written without an answer
			break
		}
		_, o.lapses = s.config.Heartbeat.Trust()
		if o.revision, err = s.records.Update(ctx, o.key, o.record, revision); err == nil {
			break
		}
		if jet.Pause(ctx, jet.RetryPause) != nil {
			return o, fmt.Errorf("record of the connection: %w", err)
		}
	}
	return o, nil
}

// Disown undoes what Own may have recorded, until that is certain or ctx is over.
func (o *Owned) Disown(ctx context.Context) {
	for {
		var is subjects.SocketRecord
		revision, err := o.sockets.records.Get(ctx, o.key, &is)
		if errors.Is(err, jet.ErrNoRecord) || err == nil && is.Dial != o.record.Dial {
			return
		}
		if err == nil && o.sockets.records.Remove(ctx, o.key, revision) == nil {
			return
		}
		if jet.Pause(ctx, jet.RetryPause) != nil {
			return
		}
	}
}

// Key is the key of the connection's record.
func (o *Owned) Key() string { return o.key }

// Record is the connection's record as it was last written or read.
func (o *Owned) Record() subjects.SocketRecord { return o.record }

// Revision is that of the record as it was last written or read: it grows with every
// connection under the id.
func (o *Owned) Revision() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.revision
}

// IsRetold says, of a connection that was taken over, whether the plugin may have been
// told of its end: its replica died or stalled when it was about to, or did.
func (o *Owned) IsRetold() bool { return o.retold }

// Hold returns once it is certain that no other replica tells the plugin of this
// connection, and will not while ours is alive; ErrSocketLost is that another does.
// While the heartbeat is written in time, that is certain at once.
func (o *Owned) Hold(ctx context.Context) error {
	for {
		until, lapses := o.sockets.config.Heartbeat.Trust()
		switch {
		case time.Now().After(until):
			if err := jet.Pause(ctx, cluster.Lease/30); err != nil {
				return err
			}
		case lapses == o.lapses:
			return nil
		default:
			// Whoever believes us dead fails to take what has moved.
			if err := o.write(ctx, o.record); err != nil {
				return err
			}
			o.lapses = lapses
		}
	}
}

// Holds says whether what Hold has found is certain still.
func (o *Owned) Holds() bool {
	until, lapses := o.sockets.config.Heartbeat.Trust()
	return lapses == o.lapses && !time.Now().After(until)
}

// End records how the connection has ended, before the plugin is told. With leave,
// another replica is to tell it.
func (o *Owned) End(ctx context.Context, end subjects.SocketEnd, leave bool) error {
	record := o.record
	end.Error = excerpt.Cut(end.Error, cluster.MaxReason)
	record.Final = &end
	if leave {
		record.Replica = ""
	}
	return o.finish(ctx, record)
}

// Leave has another replica tell the plugin of the end that is recorded.
func (o *Owned) Leave(ctx context.Context) error {
	record := o.record
	record.Replica = ""
	return o.finish(ctx, record)
}

// finish writes the record of a connection that has ended.
func (o *Owned) finish(ctx context.Context, record subjects.SocketRecord) error {
	o.mu.Lock()
	o.over = true
	o.mu.Unlock()
	return o.write(ctx, record)
}

// Restore writes the record of an open connection again where it is lost, or another one of
// before it is in its place, as when the bucket came back older. ErrSocketLost is that a
// later one is there; after any other error it is to be tried again.
func (o *Owned) Restore(ctx context.Context) error {
	if !o.mu.TryLock() {
		return jet.ErrMoved // it is being written
	}
	defer o.mu.Unlock()
	if o.over {
		return nil
	}
	var is subjects.SocketRecord
	revision, err := o.sockets.records.Get(ctx, o.key, &is)
	switch {
	case errors.Is(err, jet.ErrNoRecord):
	case err != nil:
		return err
	case is.Dial == o.record.Dial && is.Replica == o.record.Replica:
		return nil
	case is.Dial == o.record.Dial, !is.Opened.Before(o.record.Opened):
		return ErrLost
	}
	if revision, err = o.sockets.records.Update(ctx, o.key, o.record, revision); err == nil {
		o.revision = revision
	}
	return err
}

// write replaces the record until that is certain, or it is not ours any more.
func (o *Owned) write(ctx context.Context, record subjects.SocketRecord) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.settle(ctx, func() error {
		revision, err := o.sockets.records.Update(ctx, o.key, record, o.revision)
		if err == nil {
			o.revision, o.record = revision, record
		}
		return err
	}, func(is subjects.SocketRecord, revision uint64) bool {
		// One that has not moved was not written: whoever believes us dead can take it.
		if revision == o.revision || is.Replica != record.Replica || (is.Final == nil) != (record.Final == nil) {
			return false
		}
		o.revision, o.record = revision, record
		return true
	})
}

// Remove removes the record, when the plugin was told or is not to be.
func (o *Owned) Remove(ctx context.Context) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.over = true
	return o.settle(ctx, func() error {
		if o.revision == 0 {
			return nil // it was lost with its bucket
		}
		return o.sockets.records.Remove(ctx, o.key, o.revision)
	}, func(subjects.SocketRecord, uint64) bool { return false })
}

// settle repeats a write until it is carried out or ctx is over. written says
// whether a record is what was to be written; one that is not ours is ErrSocketLost, as
// is none, unless the bucket was lost.
func (o *Owned) settle(ctx context.Context, write func() error, written func(subjects.SocketRecord, uint64) bool) error {
	for {
		err := write()
		if err == nil {
			return nil
		}
		var is subjects.SocketRecord
		revision, failed := o.sockets.records.Get(ctx, o.key, &is)
		switch {
		case errors.Is(failed, jet.ErrNoRecord) && o.isInLostBucket(ctx):
			o.revision = 0
		case errors.Is(failed, jet.ErrNoRecord):
			return ErrLost
		case failed == nil && (is.Dial != o.record.Dial || is.Replica != o.record.Replica):
			if is.Dial == o.record.Dial && written(is, revision) {
				return nil
			}
			return ErrLost
		case failed == nil && written(is, revision):
			return nil
		case failed == nil:
			o.revision = revision // it is still ours
		}
		if jet.Pause(ctx, jet.RetryPause) != nil {
			return err
		}
	}
}

// isInLostBucket says whether the bucket is another one than that in which the record
// was, so that it is gone with all others. It says so once.
func (o *Owned) isInLostBucket(ctx context.Context) bool {
	info, err := o.sockets.state.Info(ctx)
	if err != nil || info.Created.Equal(o.made) {
		return false
	}
	o.made = info.Created
	return true
}

// Drop removes the record of an abandoned connection, of whose end nobody is to be told.
// ErrSocketLost is that another replica has it.
func (o *Owned) Drop(ctx context.Context) error {
	err := o.sockets.records.Remove(ctx, o.key, o.revision)
	if errors.Is(err, jet.ErrMoved) {
		return ErrLost
	}
	return err
}

// Take takes over an abandoned connection, to tell the plugin of its end: end,
// unless another is recorded. ErrSocketLost is that another replica does.
func (o *Owned) Take(ctx context.Context, end subjects.SocketEnd) error {
	record := o.record
	o.retold = record.Final != nil && record.Replica != ""
	record.Replica = o.sockets.config.Replica
	if record.Final == nil {
		record.Final = &end
	}
	_, o.lapses = o.sockets.config.Heartbeat.Trust()
	revision, err := o.sockets.records.Update(ctx, o.key, record, o.revision)
	switch {
	case errors.Is(err, jet.ErrMoved):
		return ErrLost
	case err != nil:
		return err // it is looked at again
	}
	o.revision, o.record = revision, record
	return nil
}
