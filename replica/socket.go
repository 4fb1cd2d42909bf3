package replica

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/pluginhost/pluginhost/bus/cluster"
	"github.com/pluginhost/pluginhost/bus/socket"
	"github.com/pluginhost/pluginhost/hostsvc/websocket"
	"github.com/pluginhost/pluginhost/sdk/api/schema"
	"github.com/pluginhost/pluginhost/sdk/call"
	"github.com/pluginhost/pluginhost/subjects"
)

// errLeftToOthers says that another replica tells the plugin, or nobody.
var errLeftToOthers = errors.New("the plugin is not told here")

// servingPause is between two looks whether a plugin serves.
const servingPause = 50 * time.Millisecond

// heldSocket is a WebSocket that this replica owns, or whose end it tells.
type heldSocket struct {
	sockets    *sockets
	hosted     *hosted
	id         string                // of the connection
	connection *websocket.Connection // nil where only the end is to be told
	record     *socket.Owned         // of the goroutine that runs
	dial       string                // tells it from others under the id
	init       string                // the run of OnInit that opened it without an id
	opened     time.Time
	ended      chan struct{} // closed when nothing of it is left but requests
	since      atomic.Uint64 // the revision of the record when it became ours
	// requests are of other replicas; nil without a connection.
	requests atomic.Pointer[socket.Requests]

	leaving atomic.Bool // another replica tells the plugin of the end
	silent  atomic.Bool // nobody does, as it was replaced; or it is another's now
	lost    atomic.Bool // the bucket has lost its record
}

func newSocket(s *sockets, h *hosted, id string, connection *websocket.Connection, record *socket.Owned) *heldSocket {
	is := record.Record()
	own := &heldSocket{sockets: s, hosted: h, id: id, connection: connection, record: record, dial: is.Dial, init: is.Init, opened: is.Opened, ended: make(chan struct{})}
	own.since.Store(record.Revision())
	return own
}

// isLost says whether a record of its key is not, or no longer, its own.
func (s *heldSocket) isLost(record subjects.SocketRecord) bool {
	return record.Dial != s.dial || record.Replica != s.sockets.id && !s.leaving.Load()
}

// isAfter says whether it was opened after that of a record under its key.
func (s *heldSocket) isAfter(record *subjects.SocketRecord) bool {
	return record != nil && record.Dial != s.dial && record.Opened.Before(s.opened)
}

// restore writes the record again that the bucket has lost.
func (s *heldSocket) restore() {
	if !s.lost.CompareAndSwap(true, false) {
		return
	}
	ctx, cancel := context.WithTimeout(s.sockets.running, cluster.Lease)
	defer cancel()
	switch err := s.record.Restore(ctx); {
	case errors.Is(err, socket.ErrLost):
		s.drop()
	case err != nil:
		s.lost.Store(true) // it is looked at again
	}
}

// serve takes requests of other replicas.
func (s *heldSocket) serve() error {
	requests, err := s.sockets.bus.Serve(s.hosted.id, s.id, s.carryOut)
	if err != nil {
		return err
	}
	s.requests.Store(requests)
	if s.silent.Load() { // by the first of them
		requests.Quit()
	}
	return nil
}

// silence leaves the plugin and other replicas to another connection under its id,
// also while a callback goes on.
func (s *heldSocket) silence() {
	s.silent.Store(true)
	s.quit()
}

// quit takes no more requests of other replicas.
func (s *heldSocket) quit() {
	if requests := s.requests.Load(); requests != nil {
		requests.Quit()
	}
}

// drop closes it at once, without a word to the plugin. A callback that runs goes on:
// it may be what has opened another connection.
func (s *heldSocket) drop() {
	s.silence()
	if s.connection != nil {
		s.connection.Abort()
	}
}

// replace closes it without a word to the plugin, which opens another.
func (s *heldSocket) replace() error { return s.closeSilently("replaced by another connection") }

// closeSilently closes it without a word to the plugin.
func (s *heldSocket) closeSilently(reason string) error {
	s.silence()
	if s.connection == nil {
		return nil
	}
	return s.close(closeNormal, reason)
}

// leave closes it and leaves it to another replica to tell the plugin.
func (s *heldSocket) leave() {
	s.leaving.Store(true)
	if s.connection != nil {
		_ = s.close(closeGoingAway, "the host is going away")
	}
}

func (s *heldSocket) close(code int, reason string) error {
	if err := s.connection.Close(code, reason); err != nil && !errors.Is(err, websocket.ErrClosed) {
		return err
	}
	return nil
}

// send sends a message; bus.ErrNoSocket says that the connection has ended.
func (s *heldSocket) send(ctx context.Context, message websocket.Message) error {
	if s.connection == nil {
		return socket.ErrNone
	}
	return endedOr(s.connection.Send(ctx, message))
}

// end is what the plugin asks for: to close it.
func (s *heldSocket) end(code int, reason string) error {
	if s.connection == nil {
		return socket.ErrNone
	}
	return endedOr(s.connection.Close(code, reason))
}

func endedOr(err error) error {
	if errors.Is(err, websocket.ErrClosed) {
		return socket.ErrNone
	}
	return err
}

// carryOut carries out a request of another replica.
func (s *heldSocket) carryOut(ctx context.Context, request subjects.SocketRequest, body []byte) error {
	if s.silent.Load() {
		return socket.ErrLost
	}
	switch request {
	case subjects.SocketText, subjects.SocketBinary:
		return s.send(ctx, websocket.Message{Binary: request == subjects.SocketBinary, Data: body})
	case subjects.SocketClose:
		var end subjects.SocketEnd
		if err := json.Unmarshal(body, &end); err != nil {
			return err
		}
		return s.end(end.Code, end.Reason)
	case subjects.SocketReplace:
		return s.replace()
	default:
		return fmt.Errorf("unknown request %.20q for a connection", request)
	}
}

// run delivers what the connection receives until it ends, and then tells the plugin
// how.
func (s *heldSocket) run() {
	end := s.connection.Run(s.sockets.running, s.deliver)
	s.quit() // the plugin may open another one when it is told
	if s.silent.Load() {
		s.finish(s.write(s.record.Remove))
		return
	}
	final := subjects.SocketEnd{Code: end.Code, Reason: end.Reason}
	if end.Err != nil {
		final = subjects.SocketEnd{Error: end.Err.Error()}
	}
	leaving := s.leaving.Load()
	err := s.write(func(ctx context.Context) error { return s.record.End(ctx, final, leaving) })
	if err != nil || leaving {
		s.finish(err)
		return
	}
	s.tellEnd()
}

// write writes its record, for a little longer than the replica runs: others find out
// without it that the replica is gone.
func (s *heldSocket) write(record func(context.Context) error) error {
	ctx, cancel := s.sockets.linger(s.sockets.running)
	defer cancel()
	return record(ctx)
}

// finish lets go of it.
func (s *heldSocket) finish(err error) {
	if err != nil && !errors.Is(err, socket.ErrLost) && s.sockets.running.Err() == nil {
		s.sockets.log.Warn("the record of a connection could not be written", "plugin", s.hosted.id, "error", err)
	}
	s.sockets.remove(s)
	close(s.ended)
	if requests := s.requests.Load(); requests != nil {
		requests.Stop()
	}
}

// deliver calls the plugin back with a message.
func (s *heldSocket) deliver(message websocket.Message) error {
	var event schema.Event = schema.TextMessage{Connection: s.id, Text: string(message.Data)}
	if message.Binary {
		event = schema.BinaryMessage{Connection: s.id, Data: message.Data}
	}
	err := s.callBack(event)
	if err != nil {
		s.silent.Store(s.silent.Load() || errors.Is(err, socket.ErrLost))
	}
	return err
}

// tellEnd calls the plugin back with the end that is recorded.
func (s *heldSocket) tellEnd() {
	end := s.record.Record().Final
	var event schema.Event = schema.ConnectionClose{Connection: s.id, Code: end.Code, Reason: end.Reason}
	if end.Error != "" {
		event = schema.ConnectionError{Connection: s.id, Text: end.Error}
	}
	err := s.callBack(event)
	switch {
	case err == nil, s.silent.Load():
		s.finish(s.write(s.record.Remove))
	case errors.Is(err, socket.ErrLost):
		s.finish(nil)
	default:
		s.leaving.Store(true)
		s.finish(s.write(s.record.Leave))
	}
}

// mayTell says just before a callback whether the plugin is still to be told here.
func (s *heldSocket) mayTell() error {
	if s.silent.Load() {
		return errLeftToOthers
	}
	return s.write(s.record.Hold)
}

// mayStillTell is mayTell without waiting.
func (s *heldSocket) mayStillTell() bool { return !s.silent.Load() && s.record.Holds() }

// callBack calls the plugin back. What the plugin makes of it is told to whoever looks,
// and has no consequence, as in Navidrome. While no generation serves, as when OnInit opened the
// connection and goes on, it waits.
func (s *heldSocket) callBack(event schema.Event) error {
	for {
		_, made := s.hosted.callBack(s.sockets.running, callback{
			event: event, origin: call.OfConnection, of: s.id, before: s.mayTell, still: s.mayStillTell,
		})
		switch {
		case errors.Is(made.Err, errLeftToOthers), errors.Is(made.Err, socket.ErrLost):
			return made.Err
		case !errors.Is(made.Err, errNotCalled):
			s.hosted.Observe(made)
			return nil
		}
		select {
		case <-s.sockets.running.Done():
			return context.Cause(s.sockets.running)
		case <-time.After(servingPause):
		}
		if s.leaving.Load() || s.silent.Load() {
			return errLeftToOthers
		}
	}
}
