package socket

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/pluginhost/pluginhost/bus/cluster"
	"github.com/pluginhost/pluginhost/sdk/jet"
	"github.com/pluginhost/pluginhost/subjects"
)

var (
	// ErrNone says that no replica has a connection.
	ErrNone = errors.New("no replica has the connection")
	// ErrLost says that a connection is not this replica's any more.
	ErrLost = errors.New("the connection is not this replica's any more")
)

// Config says who takes part in the ownership of WebSockets.
type Config struct {
	// Replica is the identity of this replica.
	Replica string
	// Heartbeat tells which others are alive.
	Heartbeat *cluster.Heartbeat
	// Changed is told of a connection's record that was written or has changed, and of
	// one that is gone, which is nil; its revision is 0 where the bucket has lost it.
	// It must not block.
	Changed func(key string, revision uint64, record *subjects.SocketRecord)
	// Renewed is told that revisions begin anew, as the bucket is another one or came back
	// older: Changed is told of all records again, and then of those that are gone. It must
	// not block.
	Renewed func()
}

// Sockets are the records of all WebSockets, and the way to their owners. It is safe
// for concurrent use.
type Sockets struct {
	handle  *jet.Handle
	control Control
	config  Config
	records jet.Records
	state   *jet.View
	unhear  func()

	mu    sync.Mutex
	known map[string]knownSocket // by key
}

type knownSocket struct {
	record   subjects.SocketRecord
	revision uint64
}

// Open begins to follow the records. Replicas ask each other on control. The caller stops the Sockets.
func Open(ctx context.Context, handle *jet.Handle, control Control, config Config) (*Sockets, error) {
	state, err := handle.State(ctx)
	if err != nil {
		return nil, err
	}
	s := &Sockets{handle: handle, control: control, config: config, state: state, known: make(map[string]knownSocket)}
	if s.records, err = handle.OpenRecords(ctx, jet.StateBucket); err != nil {
		return nil, err
	}
	s.unhear = state.Listen(subjects.AllSocketKeys, s.note)
	return s, nil
}

// Stop stops following.
func (s *Sockets) Stop() { s.unhear() }

func (s *Sockets) note(c jet.Change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.Anew {
		for key, socket := range s.known {
			socket.revision = 0
			s.known[key] = socket
		}
		s.config.Renewed()
		return
	}
	if c.Gone {
		delete(s.known, c.Key)
		s.config.Changed(c.Key, c.Revision, nil)
		return
	}
	var record subjects.SocketRecord
	if err := c.Decode(&record); err != nil {
		s.handle.Logger().Warn("the record of a connection cannot be read", "error", err)
		return
	}
	s.known[c.Key] = knownSocket{record, c.Revision}
	s.config.Changed(c.Key, c.Revision, &record)
}

// Count is how many open connections a plugin has beside one, without those that other
// runs of OnInit than one have opened without an id.
func (s *Sockets) Count(id, beside, run string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	count := 0
	for _, socket := range s.known {
		if r := socket.record; r.Plugin == id && r.Final == nil && string(r.Connection) != beside && (r.Init == "" || r.Init == run) {
			count++
		}
	}
	return count
}

// Newer is the record under the key of a connection, if one was seen that was written
// later than its own.
func (s *Sockets) Newer(o *Owned) (subjects.SocketRecord, bool) {
	own := o.Revision() // which may wait for a write
	s.mu.Lock()
	defer s.mu.Unlock()
	socket := s.known[o.key]
	return socket.record, socket.revision > own
}

// Abandoned lists connections whose owner is gone and whose plugin tells accepts, as this replica can
// tell it. Connections are among them that this replica has claimed in a write whose answer was lost.
func (s *Sockets) Abandoned(tells, owns func(string) bool) []*Owned {
	s.mu.Lock()
	known := maps.Clone(s.known)
	s.mu.Unlock()
	var gone []*Owned
	for key, socket := range known {
		record := socket.record
		ours := record.Replica == s.config.Replica
		if ours && (record.Final == nil || owns(key)) || !ours && record.Replica != "" && s.config.Heartbeat.Alive(record.Replica) {
			continue
		}
		if tells(record.Plugin) {
			gone = append(gone, &Owned{sockets: s, key: key, revision: socket.revision, record: record, made: s.state.Made()})
		}
	}
	slices.SortFunc(gone, func(a, b *Owned) int { return a.record.Opened.Compare(b.record.Opened) })
	return gone
}

// leftAfter is how old the record of a connection is that its replica does not have, when
// that is certain: longer than it takes to open one.
const leftAfter = 2 * jet.RecordTimeout

// DropLeftovers removes the records of open connections by which this replica owns them
// though it does not, as the bucket came back older: nobody has to be told of their end any
// more.
func (s *Sockets) DropLeftovers(ctx context.Context, owns func(string) bool) {
	s.mu.Lock()
	known := maps.Clone(s.known)
	s.mu.Unlock()
	for key, socket := range known {
		record := socket.record
		if record.Replica == s.config.Replica && record.Final == nil && time.Since(record.Opened) > leftAfter && !owns(key) {
			_ = s.records.Remove(ctx, key, socket.revision) // or at the next look
		}
	}
}

// Forget forgets the connections of a plugin: nobody is told of them.
func (s *Sockets) Forget(ctx context.Context, id string) error {
	return s.handle.Forget(ctx, subjects.SocketKeys(id))
}
