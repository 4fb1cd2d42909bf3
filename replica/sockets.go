package replica

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/pluginhost/pluginhost/bus/cluster"
	"github.com/pluginhost/pluginhost/bus/socket"
	"github.com/pluginhost/pluginhost/hostsvc/websocket"
	"github.com/pluginhost/pluginhost/subjects"
)

const (
	// closeGoingAway is the code with which a replica that leaves closes
	// (RFC 6455, 7.4.1), closeNormal that for a connection which another replaces.
	closeGoingAway, closeNormal = 1001, 1000
	// lookPause is between two looks whether a replica is gone that has a connection.
	lookPause = cluster.Lease / 30
)

// errOwnerGone is what plugins hear of a connection whose replica died.
const errOwnerGone = "the replica that held the connection is gone"

// sockets are the WebSockets that this replica owns, of all plugins.
type sockets struct {
	id     string // of the replica
	log    *slog.Logger
	inits  *cluster.Inits
	most   func() int                                                  // [WebSocket] MaxConnections
	plugin func(id string) *hosted                                     // which is made if there is none
	serves func(id string) bool                                        // whether the plugin takes calls here
	linger func(context.Context) (context.Context, context.CancelFunc) // what Replica.lingering returns

	bus     *socket.Sockets
	running context.Context // ends when nothing more may be done
	cancel  context.CancelFunc
	done    sync.WaitGroup

	mu    sync.Mutex
	owned map[string]*heldSocket // by the keys of their records
}

// startSockets opens the records and looks for connections whose replica is gone.
// The caller stops it.
func (r *Replica) startSockets(ctx context.Context) (_ *sockets, err error) {
	s := &sockets{
		id: r.id, log: r.log, inits: r.inits, plugin: r.hosted, serves: r.serves, linger: r.lingering,
		most:  func() int { return r.config.Load().WebSocket.MaxConnections },
		owned: make(map[string]*heldSocket),
	}
	s.running, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	s.bus, err = socket.Open(ctx, r.bus.Jet(), r.bus.Control(), socket.Config{Replica: r.id, Heartbeat: r.heartbeat, Changed: s.note, Renewed: s.renew})
	if err != nil {
		s.cancel()
		return nil, err
	}
	s.done.Go(s.lookForAbandoned)
	return s, nil
}

// stop cuts off what is still running; drain comes before it.
func (s *sockets) stop() {
	s.cancel()
	s.done.Wait()
	s.bus.Stop()
}

// renew takes whatever is told next of a connection for newer: revisions begin anew.
func (s *sockets) renew() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, own := range s.owned {
		own.since.Store(0)
	}
}

// note lets go of a connection that has become another replica's, was replaced, or
// whose record was removed. Where the bucket has lost the record, or came back with one of
// before, the connection's owner writes it again.
func (s *sockets) note(key string, revision uint64, record *subjects.SocketRecord) {
	s.mu.Lock()
	own := s.owned[key]
	s.mu.Unlock()
	switch {
	case own == nil:
	case record == nil && revision == 0, own.since.Load() == 0 && own.isAfter(record):
		own.since.Store(0)
		own.lost.Store(true)
	case revision <= own.since.Load(): // told late: of one before it
	case record == nil || own.isLost(*record):
		own.drop()
	default:
		own.since.CompareAndSwap(0, revision)
	}
}

// find returns a connection that this replica owns, or nil. One that was replaced, or
// has become another replica's, is none.
func (s *sockets) find(id, connection string) *heldSocket {
	s.mu.Lock()
	defer s.mu.Unlock()
	if own := s.owned[subjects.SocketKey(id, connection)]; own != nil && !own.silent.Load() {
		return own
	}
	return nil
}

// connect makes a connection this replica's, in the place of one under the same id,
// wherever that is. run is the run of OnInit that initialises the generation which opens it.
func (s *sockets) connect(ctx context.Context, h *hosted, opening websocket.Opening, run string) (*heldSocket, error) {
	id := opening.ID
	if h.unloading.Load() {
		return nil, errors.New("the plugin is being unloaded")
	}
	limit := s.most()
	if count := max(s.bus.Count(h.id, id, run), len(s.counted(h, run))-1); count >= limit {
		return nil, fmt.Errorf("the plugin has %d connections, [WebSocket] MaxConnections is %d", count, limit)
	}
	s.replace(ctx, h.id, id)
	connection, err := opening.Dial(ctx)
	if err != nil {
		return nil, err
	}
	record, err := s.bus.Own(ctx, h.id, id, markOf(ctx, opening.IsMade))
	if err != nil {
		connection.Abort()
		s.done.Go(func() { record.Disown(s.running) })
		return nil, err
	}
	own := newSocket(s, h, id, connection, record)
	if err := own.serve(); err != nil {
		connection.Abort()
		return nil, errors.Join(err, record.Remove(s.running))
	}
	if former := s.enter(own); former != nil { // of a call at the same moment, or one that tells its end
		former.drop()
	}
	if newer, found := s.bus.Newer(record); found && own.isLost(newer) {
		own.drop() // another replica was faster than we could look
	}
	s.done.Go(own.run)
	return own, nil
}

// replace closes the connection that has an id, without a word to the plugin.
func (s *sockets) replace(ctx context.Context, id, connection string) {
	var err error
	if own := s.find(id, connection); own != nil {
		err = own.replace()
	} else {
		err = s.bus.Ask(ctx, id, connection, subjects.SocketReplace, nil)
	}
	if err != nil && !errors.Is(err, socket.ErrNone) {
		// Its replica is stalled or dead: the record becomes ours all the same.
		s.log.Warn("a connection that is replaced could not be closed", "plugin", id, "error", err)
	}
}

// enter registers a connection under its id. It returns the connection that lost: the one that had
// the id before, or the new one if the record of the former is newer.
func (s *sockets) enter(own *heldSocket) (former *heldSocket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	former = s.owned[own.record.Key()]
	if former != nil && !former.silent.Load() && former.since.Load() > own.since.Load() {
		return own
	}
	s.owned[own.record.Key()] = own
	return former
}

// remove removes a connection that has ended from those owned.
func (s *sockets) remove(own *heldSocket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.owned[own.record.Key()] == own {
		delete(s.owned, own.record.Key())
	}
}

// of are the connections of a plugin that this replica owns.
func (s *sockets) of(h *hosted) []*heldSocket {
	s.mu.Lock()
	defer s.mu.Unlock()
	var of []*heldSocket
	for _, own := range s.owned {
		if own.hosted == h {
			of = append(of, own)
		}
	}
	return of
}

// counted are the connections of a plugin that this replica owns, without those that other
// runs of OnInit than one have opened without an id.
func (s *sockets) counted(h *hosted, run string) []*heldSocket {
	return slices.DeleteFunc(s.of(h), func(own *heldSocket) bool { return own.init != "" && own.init != run })
}

// all are the connections that this replica owns.
func (s *sockets) all() []*heldSocket {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.owned))
}

var _ pluginPart = (*sockets)(nil)

// serve closes the connections of a plugin that may have none any more.
func (s *sockets) serve(h *hosted, next *generation) {
	if next.entry.Manifest.Permissions.WebSocket == nil {
		s.leave(h.replica.running, h)
	}
}

// forget removes the records of a plugin's connections.
func (s *sockets) forget(ctx context.Context, id string) error { return s.bus.Forget(ctx, id) }

// status counts the connections of a plugin that this replica owns.
func (s *sockets) status(h *hosted, status *subjects.PluginStatus) { status.Sockets = len(s.of(h)) }

// leave closes the connections of a plugin that is no longer served here; another
// replica tells the plugin. It waits for them, or for ctx.
func (s *sockets) leave(ctx context.Context, h *hosted) {
	leaving := s.of(h)
	for _, own := range leaving {
		own.leave()
	}
	for _, own := range leaving {
		select {
		case <-own.ended:
		case <-ctx.Done():
			return // stop cuts off what is left
		}
	}
}

// lookForAbandoned tells plugins of connections whose replica is gone. Those that are
// leavings of a former run of OnInit go without a word. Records of connections that are here
// and were lost are written again.
func (s *sockets) lookForAbandoned() {
	ticker := time.NewTicker(lookPause)
	defer ticker.Stop()
	for {
		select {
		case <-s.running.Done():
			return
		case <-ticker.C:
		}
		s.closeLeavings()
		for _, own := range s.all() {
			own.restore()
		}
		s.bus.DropLeftovers(s.running, s.owns)
		for _, abandoned := range s.bus.Abandoned(s.serves, s.owns) {
			if s.isLeaving(abandoned.Record()) {
				_ = abandoned.Drop(s.running) // it is looked at again
				continue
			}
			err := abandoned.Take(s.running, subjects.SocketEnd{Error: errOwnerGone})
			switch {
			case err == nil:
				s.takeOver(abandoned)
			case !errors.Is(err, socket.ErrLost) && s.running.Err() == nil:
				s.log.Warn("a connection whose replica is gone cannot be taken over yet", "error", err)
			}
		}
	}
}

// closeLeavings closes the connections of this replica that are leavings of a former run
// of OnInit, without a word to the plugin: none of its code knows their ids any more.
func (s *sockets) closeLeavings() {
	s.mu.Lock()
	owned := slices.Collect(maps.Values(s.owned))
	s.mu.Unlock()
	for _, own := range owned {
		if own.init == "" || own.silent.Load() || !s.inits.IsLeaving(own.hosted.id, own.init, cluster.Lease) {
			continue
		}
		own.silence()
		s.done.Go(func() { _ = own.closeSilently("the plugin was initialised anew") }) // which may wait for a message
	}
}

func (s *sockets) isLeaving(record subjects.SocketRecord) bool {
	return s.inits.IsLeaving(record.Plugin, record.Init, cluster.Lease)
}

// owns says whether this replica has a connection or tells its end.
func (s *sockets) owns(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.owned[key] != nil
}

// takeOver tells a plugin of the end of a connection that another replica had.
func (s *sockets) takeOver(record *socket.Owned) {
	is := record.Record()
	own := newSocket(s, s.plugin(is.Plugin), string(is.Connection), nil, record)
	if s.enter(own) == own {
		return // the plugin has opened another one meanwhile
	}
	s.log.Warn("a connection is taken over from a replica that is gone", "plugin", is.Plugin,
		"connection", cut(string(is.Connection), maxText), "told_again", record.IsRetold())
	s.done.Go(own.tellEnd)
}
