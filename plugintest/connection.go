package plugintest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	hostwebsocket "github.com/pluginhost/pluginhost/hostsvc/websocket"
	"github.com/pluginhost/pluginhost/sdk/api/schema"
)

// SocketMessage is a message over a WebSocket.
type SocketMessage struct {
	// Binary tells a binary message from a text message.
	Binary bool
	// Data is the content, as it was sent.
	Data []byte
}

// Text is the data as a string.
func (m SocketMessage) Text() string { return string(m.Data) }

// Connection is a connection of the plugin, as the server has it.
type Connection struct {
	host    *Host
	id      string
	request *http.Request // the handshake
	conn    *websocket.Conn
	writing sync.Mutex // of messages of the server
	written int        // how many
	sending sync.Mutex // of messages of the plugin
	sends   int        // how many

	accepted chan *websocket.Conn      // what became of the handshake
	line     *line                     // below plugin
	plugin   *hostwebsocket.Connection // the plugin's end

	watched
	received []SocketMessage
	awaited  int  // of them, by Await
	arrived  int  // messages of the plugin
	deaf     bool // no more arrive
	handled  int  // messages that the plugin was called with
	ending   bool // the server closes it
	closing  bool // the plugin closes or replaces it
	silent   bool // the plugin is not told of its end
	over     bool // its last callback is over
	failures map[int]error
	final    error       // of the last callback
	byPlugin *closeFrame // the one that the plugin has sent first
}

type closeFrame struct {
	code   int
	reason string
}

// ID is the id that the plugin, or the host, has given the connection.
func (c *Connection) ID() string { return c.id }

// Request is the handshake, with the URL and the headers that the plugin has sent.
func (c *Connection) Request() *http.Request { return c.request }

// SendText sends the plugin a text message. It returns when the plugin's OnTextMessage has
// run, with the error of that, which is as that of Host.Call, or when ctx is over. A message
// whose turn has not come by then, as a callback before it runs, breaks the connection.
func (c *Connection) SendText(ctx context.Context, text string) error {
	return c.send(ctx, websocket.TextMessage, []byte(text))
}

// SendBinary sends the plugin a binary message, and waits for OnBinaryMessage as SendText
// does for OnTextMessage.
func (c *Connection) SendBinary(ctx context.Context, data []byte) error {
	return c.send(ctx, websocket.BinaryMessage, data)
}

func (c *Connection) send(ctx context.Context, kind int, data []byte) error {
	c.writing.Lock()
	_ = c.conn.SetWriteDeadline(deadline(ctx))
	err := c.conn.WriteMessage(kind, data)
	c.written++
	number := c.written
	c.writing.Unlock()
	if err != nil {
		return fmt.Errorf("send to the plugin: %w", err)
	}
	handled := false
	found := c.await(ctx, func() bool {
		handled = c.handled >= number
		if handled {
			err = c.failures[number]
			delete(c.failures, number)
		}
		return handled || c.over
	})
	switch {
	case !found:
		return fmt.Errorf("the plugin's callback is not over: %w", context.Cause(ctx))
	case !handled:
		return errEnded
	}
	return errors.Join(err, c.host.settle(ctx))
}

// deadline is when writing must be over: when ctx is, and not much later than a callback may
// hold it up.
func deadline(ctx context.Context) time.Time {
	until := time.Now().Add(maxCallTimeout + patience)
	if before, ok := ctx.Deadline(); ok && before.Before(until) {
		return before
	}
	return until
}

var errEnded = errors.New("the connection has ended")

// Close sends the plugin a close frame; 1005 is one without a code. It returns when the
// plugin's OnClose has run, with the error of that. A connection that has ended is an error.
func (c *Connection) Close(ctx context.Context, code int, reason string) error {
	over := false
	c.change(func() { c.ending, over = true, c.over })
	if over {
		return errEnded
	}
	if err := c.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), deadline(ctx)); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	return c.end(ctx)
}

// Fail breaks the connection with an error, whose text the plugin is told; nil is a server that
// leaves without a word. It returns when the plugin's OnError has run, with the error of
// that. A connection that has ended is an error.
func (c *Connection) Fail(ctx context.Context, why error) error {
	over := false
	c.change(func() { c.ending, over = true, c.over })
	if over {
		return errEnded
	}
	if why == nil {
		_ = c.conn.Close()
	} else {
		c.line.fail(why)
	}
	return c.end(ctx)
}

// end waits for the plugin's last callback.
func (c *Connection) end(ctx context.Context) error {
	var err error
	if !c.await(ctx, func() bool { err = c.final; return c.over }) {
		return fmt.Errorf("the plugin's callback is not over: %w", context.Cause(ctx))
	}
	return errors.Join(err, c.host.settle(ctx))
}

// Received returns the messages that the plugin has sent so far; the first 10,000 are kept. A
// message is there when the plugin's SendText or SendBinary has returned.
func (c *Connection) Received() []SocketMessage {
	var received []SocketMessage
	c.look(func() { received = slices.Clone(c.received) })
	return received
}

// Await returns the next message that the plugin has sent: the first at the first call, and so
// on. Without one the test fails after 10 seconds, or when ctx is over.
func (c *Connection) Await(ctx context.Context) SocketMessage {
	c.host.t.Helper()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var next SocketMessage
	found := c.await(ctx, func() bool {
		if c.awaited == len(c.received) {
			return false
		}
		next = c.received[c.awaited]
		c.awaited++
		return true
	})
	if !found {
		c.host.fail("the plugin has sent nothing more over connection %q: %d messages in all", c.id, len(c.Received()))
	}
	return next
}

// AwaitClose returns the code and the reason with which the plugin has closed the connection;
// its OnClose has run then. Where it has not closed it, the test fails after 10 seconds, or when
// ctx is over. A plugin that replaces a connection closes it with 1000, and has no OnClose.
func (c *Connection) AwaitClose(ctx context.Context) (code int, reason string) {
	c.host.t.Helper()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var frame *closeFrame
	if !c.await(ctx, func() bool { frame = c.byPlugin; return c.over && frame != nil }) {
		c.host.fail("the plugin has not closed connection %q", c.id)
	}
	return frame.code, frame.reason
}

// receive takes what the plugin sends, until the connection has ended.
func (c *Connection) receive() {
	for {
		kind, data, err := c.conn.ReadMessage()
		if err != nil {
			c.change(func() { c.deaf = true })
			return
		}
		c.change(func() {
			c.arrived++
			if len(c.received) < maxKept {
				c.received = append(c.received, SocketMessage{kind == websocket.BinaryMessage, data})
			}
		})
	}
}

// closed is called for a close frame of the plugin, and answers it.
func (c *Connection) closed(code int, reason string) error {
	c.change(func() {
		if !c.ending {
			c.byPlugin = &closeFrame{code, reason}
		}
	})
	// Where the plugin is in a callback, nobody reads this before that is over.
	_ = c.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, ""), time.Now().Add(patience))
	return nil
}

// deliver calls the plugin back with a message.
func (c *Connection) deliver(ctx context.Context, message hostwebsocket.Message) error {
	var event schema.Event = schema.TextMessage{Connection: c.id, Text: string(message.Data)}
	if message.Binary {
		event = schema.BinaryMessage{Connection: c.id, Data: message.Data}
	}
	err := c.callBack(ctx, event)
	if errors.Is(err, errEnded) {
		return err
	}
	c.change(func() {
		if c.handled++; err != nil {
			c.failures[c.handled] = err
		}
	})
	return nil
}

// tellEnd calls the plugin back with the end of the connection.
func (c *Connection) tellEnd(ctx context.Context, end hostwebsocket.End) error {
	if end.Err != nil {
		return c.callBack(ctx, schema.ConnectionError{Connection: c.id, Text: end.Err.Error()})
	}
	return c.callBack(ctx, schema.ConnectionClose{Connection: c.id, Code: end.Code, Reason: end.Reason})
}

// callBack calls the plugin back when OnInit is over. It is errEnded where the plugin is no
// longer to be told.
func (c *Connection) callBack(ctx context.Context, event schema.Event) error {
	c.host.serving.RLock()
	defer c.host.serving.RUnlock()
	silent := false
	c.look(func() { silent = c.silent })
	if silent || ctx.Err() != nil {
		return errEnded
	}
	return c.host.callBack(ctx, event, maxCallTimeout)
}
