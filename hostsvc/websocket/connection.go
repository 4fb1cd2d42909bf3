package websocket

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// ErrClosed is a connection that has ended, or is about to.
var ErrClosed = errors.New("connection is closed")

// Connection is a connection to a WebSocket server. Its owner calls Run once, or
// Abort. All other methods are safe for concurrent use and can be called at any time.
type Connection struct {
	ws           *websocket.Conn
	raw          net.Conn    // below ws and TLS: to close it never waits
	firstClose   *firstClose // of the reader
	maxMessage   int64
	hold         func(bytes int64) (release func(), err error) // nil charges nobody
	writeTimeout time.Duration
	pingInterval time.Duration

	// writing is held by whoever writes a message: the library allows one. Control
	// frames may come between the frames of a message.
	writing chan struct{}

	mu       sync.Mutex
	end      *End        // nil until it is known how the connection ends
	closing  *time.Timer // closes raw some time after our close frame; nil before
	finished bool        // raw is closed
}

func newConnection(ws *websocket.Conn, raw net.Conn, first *firstClose, config Config) *Connection {
	c := &Connection{
		ws:           ws,
		raw:          raw,
		firstClose:   first,
		maxMessage:   config.MaxMessage,
		hold:         config.Hold,
		writeTimeout: config.WriteTimeout,
		pingInterval: config.PingInterval,
		writing:      make(chan struct{}, 1),
	}
	ws.SetReadLimit(config.MaxMessage)
	ws.SetPingHandler(c.pinged)
	ws.SetPongHandler(c.ponged)
	ws.SetCloseHandler(c.closed)
	return c
}

// Run reads until the connection has ended, and says how it did. It calls handle for
// each text and binary message, one after the other. The next message is read when
// handle has returned: while it has not, the server has to wait, and nobody else. The
// data of a message is handle's to keep.
//
// The connection ends with a close frame of the server, with Close, when the server is
// silent for three ping intervals or breaks a rule, when a message cannot be sent,
// when handle returns an error or ctx ends (its cause is the error then), when there is no
// memory for a message (hold.ErrRefused), or by Abort.
// Then it is closed, and nothing of it is left running. Run does not return while
// handle runs, so handle should end with ctx, too.
func (c *Connection) Run(ctx context.Context, handle func(Message) error) End {
	defer context.AfterFunc(ctx, func() { c.fail(context.Cause(ctx)) })()
	pings := c.startPings()
	err := c.read(handle)
	end := c.finish(err)
	pings.stop()
	return end
}

// read returns why there is nothing more to read.
func (c *Connection) read(handle func(Message) error) error {
	for {
		c.heard()
		message, release, err := c.receive()
		if err != nil {
			return c.readError(err)
		}
		if c.ending() {
			release()
			continue // Close was called: the close frame of the server is all that is left to wait for
		}
		err = handle(message)
		release()
		if err != nil && c.settle(End{Err: err}) {
			return err
		}
	}
}

// Send sends a message; it does not keep the data. Messages are sent one after the
// other, each within WriteTimeout and the deadline of ctx. One that cannot be sent
// ends the connection, for nobody knows how much of it has gone.
//
// The error is ErrClosed for a connection that has ended, and the one of ctx when it
// ends before the message's turn; the connection goes on then.
func (c *Connection) Send(ctx context.Context, message Message) error {
	if err := checkSize(int64(len(message.Data)), c.maxMessage); err != nil {
		return err
	}
	select {
	case c.writing <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("wait for the messages before it: %w", context.Cause(ctx))
	}
	defer func() { <-c.writing }()
	if c.ending() {
		return ErrClosed
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	deadline := time.Now().Add(c.writeTimeout)
	if until, ok := ctx.Deadline(); ok && until.Before(deadline) {
		deadline = until
	}
	_ = c.ws.SetWriteDeadline(deadline) // always nil
	if err := c.ws.WriteMessage(message.kind(), message.Data); err != nil {
		err = c.writeError(err)
		c.fail(err)
		return err
	}
	return nil
}
