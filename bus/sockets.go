package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/subjects"
)

var (
	// ErrNoSocket says that no replica has a connection.
	ErrNoSocket = errors.New("no replica has the connection")
	// ErrSocketLost says that a connection is not this replica's any more.
	ErrSocketLost = errors.New("the connection is not this replica's any more")
)

const (
	// socketTimeout bounds what another replica is asked to do with a connection,
	// replaceTimeout how long one that does not answer is waited for.
	socketTimeout  = 15 * time.Second
	replaceTimeout = 2 * time.Second
	// maxSocketRequests is how many requests for one connection are carried out at
	// once.
	maxSocketRequests = 16
)

// SocketsConfig says who takes part in the ownership of WebSockets.
type SocketsConfig struct {
	// Replica is the identity of this replica.
	Replica string
	// Heartbeat tells which others are alive.
	Heartbeat *Heartbeat
	// Changed is told of a connection's record that was written or has changed. It
	// must not block.
	Changed func(key string, record subjects.SocketRecord)
}

// Sockets are the records of all WebSockets, and the way to their owners. It is safe
// for concurrent use.
type Sockets struct {
	bus     *Bus
	config  SocketsConfig
	records records
	unhear  func()

	mu    sync.Mutex
	known map[string]knownSocket // by key
}

type knownSocket struct {
	record   subjects.SocketRecord
	revision uint64
}

// OpenSockets begins to follow the records. The caller stops the Sockets.
func (b *Bus) OpenSockets(ctx context.Context, config SocketsConfig) (*Sockets, error) {
	state, err := b.followState(ctx)
	if err != nil {
		return nil, err
	}
	s := &Sockets{bus: b, config: config, known: make(map[string]knownSocket)}
	if s.records, err = b.records(ctx, stateBucket); err != nil {
		return nil, err
	}
	s.unhear = state.listen(subjects.AllSocketKeys, s.note)
	return s, nil
}

// Stop stops following.
func (s *Sockets) Stop() { s.unhear() }

func (s *Sockets) note(c change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.gone {
		delete(s.known, c.key)
		return
	}
	var record subjects.SocketRecord
	if err := c.decode(&record); err != nil {
		s.bus.config.Logger.Warn("the record of a connection cannot be read", "error", err)
		return
	}
	s.known[c.key] = knownSocket{record, c.revision}
	s.config.Changed(c.key, record)
}

// Count is how many open connections a plugin has beside one.
func (s *Sockets) Count(id, beside string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	count := 0
	for _, socket := range s.known {
		if r := socket.record; r.Plugin == id && r.Final == nil && string(r.Connection) != beside {
			count++
		}
	}
	return count
}

// Record is the record of a connection as far as it is known here.
func (s *Sockets) Record(key string) (subjects.SocketRecord, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	socket, known := s.known[key]
	return socket.record, known
}

// OwnedSocket is a connection that this replica owns, or is taking over. It is for
// one goroutine at a time.
type OwnedSocket struct {
	sockets  *Sockets
	key      string
	revision uint64
	record   subjects.SocketRecord
	lapses   uint64 // of our heartbeat, when we were last sure that it is ours
}

// Own records that this replica owns a connection, in the place of one under the
// same id. After an error it may have been recorded all the same: the caller has it
// undone with Disown.
func (s *Sockets) Own(ctx context.Context, id, connection string) (*OwnedSocket, error) {
	o := &OwnedSocket{sockets: s, key: subjects.SocketKey(id, connection), record: subjects.SocketRecord{
		V: subjects.Version, Plugin: id, Connection: []byte(connection), Replica: s.config.Replica, Dial: newNonce(), Opened: time.Now().UTC(),
	}}
	ctx, cancel := context.WithTimeout(ctx, scheduleTimeout)
	defer cancel()
	for {
		var before subjects.SocketRecord
		revision, err := s.records.get(ctx, o.key, &before)
		if err != nil && !errors.Is(err, errNoRecord) {
			return o, fmt.Errorf("record of the connection: %w", err)
		}
		o.revision = revision
		if err == nil && before.Dial == o.record.Dial { // written without an answer
			break
		}
		_, o.lapses = s.config.Heartbeat.Trust()
		if o.revision, err = s.records.update(ctx, o.key, o.record, revision); err == nil {
			break
		}
		if ctx.Err() != nil {
			return o, fmt.Errorf("record of the connection: %w", err)
		}
	}
	return o, nil
}

// Disown undoes what Own may have recorded, until that is certain or ctx is over.
func (o *OwnedSocket) Disown(ctx context.Context) {
	for {
		var is subjects.SocketRecord
		revision, err := o.sockets.records.get(ctx, o.key, &is)
		if errors.Is(err, errNoRecord) || err == nil && is.Dial != o.record.Dial {
			return
		}
		if err == nil && o.sockets.records.remove(ctx, o.key, revision) == nil {
			return
		}
		if pause(ctx, insistPause) != nil {
			return
		}
	}
}

// Key is the key of the connection's record.
func (o *OwnedSocket) Key() string { return o.key }

// Record is the connection's record as it was last written or read.
func (o *OwnedSocket) Record() subjects.SocketRecord { return o.record }

// Hold returns once it is certain that no other replica tells the plugin of this
// connection, and will not while ours is alive; ErrSocketLost is that another does.
// While the heartbeat is written in time, that is certain at once.
func (o *OwnedSocket) Hold(ctx context.Context) error {
	for {
		until, lapses := o.sockets.config.Heartbeat.Trust()
		switch {
		case time.Now().After(until):
			if err := pause(ctx, Lease/30); err != nil {
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

// End records how the connection has ended, before the plugin is told. With leave,
// another replica is to tell it.
func (o *OwnedSocket) End(ctx context.Context, end subjects.SocketEnd, leave bool) error {
	record := o.record
	end.Error = bounded(end.Error)
	record.Final = &end
	if leave {
		record.Replica = ""
	}
	return o.write(ctx, record)
}

// Leave has another replica tell the plugin of the end that is recorded.
func (o *OwnedSocket) Leave(ctx context.Context) error {
	record := o.record
	record.Replica = ""
	return o.write(ctx, record)
}

// write replaces the record until that is certain, or it is not ours any more.
func (o *OwnedSocket) write(ctx context.Context, record subjects.SocketRecord) error {
	return o.settle(ctx, func() error {
		revision, err := o.sockets.records.update(ctx, o.key, record, o.revision)
		if err == nil {
			o.revision, o.record = revision, record
		}
		return err
	}, func(is subjects.SocketRecord, revision uint64) bool {
		if is.Replica != record.Replica || (is.Final == nil) != (record.Final == nil) {
			return false
		}
		o.revision, o.record = revision, record
		return true
	})
}

// Remove removes the record, when the plugin was told or is not to be.
func (o *OwnedSocket) Remove(ctx context.Context) error {
	return o.settle(ctx, func() error { return o.sockets.records.remove(ctx, o.key, o.revision) },
		func(subjects.SocketRecord, uint64) bool { return false })
}

// settle repeats a write until it is carried out or ctx is over. written says
// whether a record is what was to be written; any other one is ErrSocketLost, as is
// none.
func (o *OwnedSocket) settle(ctx context.Context, write func() error, written func(subjects.SocketRecord, uint64) bool) error {
	for {
		err := write()
		if err == nil {
			return nil
		}
		var is subjects.SocketRecord
		revision, failed := o.sockets.records.get(ctx, o.key, &is)
		switch {
		case errors.Is(failed, errNoRecord):
			return ErrSocketLost
		case failed == nil && (is.Dial != o.record.Dial || is.Replica != o.record.Replica):
			if is.Dial == o.record.Dial && written(is, revision) {
				return nil
			}
			return ErrSocketLost
		case failed == nil && written(is, revision):
			return nil
		case failed == nil:
			o.revision = revision // it is still ours
		}
		if pause(ctx, insistPause) != nil {
			return err
		}
	}
}

// Abandoned are the connections whose owners are gone, of plugins that tells says
// can be told here. Those are among them that this replica has taken without owning
// them, as when no answer came.
func (s *Sockets) Abandoned(tells, owns func(string) bool) []*OwnedSocket {
	s.mu.Lock()
	known := maps.Clone(s.known)
	s.mu.Unlock()
	var gone []*OwnedSocket
	for key, socket := range known {
		record := socket.record
		ours := record.Replica == s.config.Replica
		if ours && (record.Final == nil || owns(key)) || !ours && record.Replica != "" && s.config.Heartbeat.Alive(record.Replica) {
			continue
		}
		if tells(record.Plugin) {
			gone = append(gone, &OwnedSocket{sockets: s, key: key, revision: socket.revision, record: record})
		}
	}
	slices.SortFunc(gone, func(a, b *OwnedSocket) int { return a.record.Opened.Compare(b.record.Opened) })
	return gone
}

// Take takes over an abandoned connection, to tell the plugin of its end: end,
// unless another is recorded. ErrSocketLost is that another replica does.
func (o *OwnedSocket) Take(ctx context.Context, end subjects.SocketEnd) error {
	record := o.record
	record.Replica = o.sockets.config.Replica
	if record.Final == nil {
		record.Final = &end
	}
	_, o.lapses = o.sockets.config.Heartbeat.Trust()
	revision, err := o.sockets.records.update(ctx, o.key, record, o.revision)
	switch {
	case errors.Is(err, errMoved):
		return ErrSocketLost
	case err != nil:
		return err // it is looked at again
	}
	o.revision, o.record = revision, record
	return nil
}

// Forget forgets the connections of a plugin: nobody is told of them.
func (s *Sockets) Forget(ctx context.Context, id string) error {
	return s.bus.forget(ctx, subjects.SocketKeys(id))
}

// SocketHandler carries out a request for a connection; it may block. ErrNoSocket
// says that the connection has ended.
type SocketHandler func(ctx context.Context, request subjects.SocketRequest, body []byte) error

// Serve takes requests of other replicas for a connection that this one owns, until
// stop is called once the connection has ended; it waits for those that are being
// carried out.
func (s *Sockets) Serve(id, connection string, handle SocketHandler) (stop func(), err error) {
	ctx, cancel := context.WithCancel(context.Background())
	var handling sync.WaitGroup
	places := make(chan struct{}, maxSocketRequests)
	subscription, err := s.bus.subscribe(subjects.Socket(id, connection), "", func(msg *nats.Msg) {
		places <- struct{}{}
		handling.Go(func() {
			defer func() { <-places }()
			ctx, cancel := context.WithTimeout(ctx, socketTimeout)
			defer cancel()
			s.answer(msg, handle(ctx, subjects.SocketRequest(msg.Header.Get(subjects.HeaderSocket)), msg.Data))
		})
	})
	if err != nil {
		cancel()
		return nil, err
	}
	if err := s.bus.conn.FlushTimeout(connectTimeout); err != nil {
		s.bus.config.Logger.Warn("other replicas may not reach a connection yet", "error", err)
	}
	return func() {
		defer cancel()
		if err := s.bus.drain(subscription); err != nil {
			s.bus.config.Logger.Warn("a connection could not be unsubscribed", "error", err)
		}
		handling.Wait() // nothing is left that they could wait for
	}, nil
}

func (s *Sockets) answer(msg *nats.Msg, err error) {
	if !subjects.IsHostReply(msg.Reply) {
		return // only replicas ask
	}
	reply := nats.NewMsg(msg.Reply)
	if err != nil {
		code := http.StatusBadGateway
		if errors.Is(err, ErrNoSocket) {
			code = http.StatusNotFound
		}
		reply.Header.Set(subjects.HeaderErrorCode, strconv.Itoa(code))
		reply.Header.Set(subjects.HeaderError, headerText(err.Error(), maxErrorText))
	}
	if err := s.bus.conn.PublishMsg(reply); err != nil {
		s.bus.config.Logger.Warn("a request for a connection could not be answered", "error", err)
	}
}

// Ask has the owner of a connection carry out a request. It is ErrNoSocket where
// nobody owns it.
func (s *Sockets) Ask(ctx context.Context, id, connection string, request subjects.SocketRequest, body []byte) error {
	timeout := socketTimeout
	if request == subjects.SocketReplace {
		timeout = replaceTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	msg := nats.NewMsg(subjects.Socket(id, connection))
	msg.Header.Set(subjects.HeaderSocket, string(request))
	msg.Data = body
	if err := s.bus.awaitConnected(ctx); err != nil {
		return err
	}
	reply, err := s.bus.conn.RequestMsgWithContext(ctx, msg)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return ErrNoSocket
	case err != nil:
		return fmt.Errorf("the replica that has the connection: %w", err)
	}
	switch reply.Header.Get(subjects.HeaderErrorCode) {
	case "":
		return nil
	case strconv.Itoa(http.StatusNotFound):
		return ErrNoSocket
	default:
		return errors.New(reply.Header.Get(subjects.HeaderError))
	}
}

// AskJSON is Ask with a body in JSON.
func (s *Sockets) AskJSON(ctx context.Context, id, connection string, request subjects.SocketRequest, body any) error {
	encoded, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return s.Ask(ctx, id, connection, request, encoded)
}
