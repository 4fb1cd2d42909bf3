package websocket

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"github.com/pluginhost/pluginhost/sdk/hold"
)

// ErrAborted is the end of a connection by Abort.
var ErrAborted = errors.New("connection aborted")

const (
	// maxError is the longest error text, in bytes.
	maxError = 2 << 10
	// maxLinger is how much is read from a server that broke a rule before it is left,
	// in bytes.
	maxLinger = 16 << 20
)

// End says how a connection ended: with a close frame, of the server or our own, or
// with a failure.
type End struct {
	// Code and Reason are those of the close frame; 1005 is a frame without a code
	// (RFC 6455, 7.1.5). They mean nothing after a failure.
	Code   int
	Reason string
	// Own says that Close was called, and that Code and Reason are what it was given.
	Own bool
	// Err is the failure, nil for a close frame. It wraps ErrAborted, the error of the
	// handle function or the cause of the context where they ended the connection. Its
	// text has nothing of the URL and the headers of the connection.
	Err error
}

// settle says how the connection ends, and reports false when that was known already.
func (c *Connection) settle(end End) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.end != nil {
		return false
	}
	c.end = &end
	return true
}

// settled returns what settle was given first.
func (c *Connection) settled() End {
	c.mu.Lock()
	defer c.mu.Unlock()
	return *c.end
}

// ending reports whether it is known how the connection ends.
func (c *Connection) ending() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.end != nil
}

// fail ends the connection at once.
func (c *Connection) fail(err error) {
	c.settle(End{Err: err})
	c.disconnect()
}

// finish closes what is left once nothing more is read.
func (c *Connection) finish(err error) End {
	c.settle(End{Err: err})
	c.disconnect()
	return c.settled()
}

// disconnect closes the network connection.
func (c *Connection) disconnect() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.finished = true
	if c.closing != nil {
		c.closing.Stop()
	}
	_ = c.raw.Close()
}

// readError says in the words of this package why reading failed.
func (c *Connection) readError(err error) error {
	var frame *websocket.CloseError
	var network net.Error
	switch {
	case errors.As(err, &frame), errors.Is(err, io.EOF):
		// A close frame has settled the end; what remains is the end of the stream.
		return fmt.Errorf("the server left without a close frame: %w", io.ErrUnexpectedEOF)
	case errors.As(err, &network) && network.Timeout():
		return fmt.Errorf("nothing came from the server for %s: %w", c.silence(), os.ErrDeadlineExceeded)
	case errors.As(err, &network):
		return plain(err)
	case errors.Is(err, websocket.ErrReadLimit):
		err = fmt.Errorf("a message of the server is over the limit of %d bytes: %w", c.maxMessage, err)
		c.writeClose(websocket.CloseMessageTooBig, "", time.Now().Add(closeWait))
	case errors.Is(err, errNotUTF8):
		c.writeClose(websocket.CloseInvalidFramePayloadData, "", time.Now().Add(closeWait))
	case errors.Is(err, errHalfCode):
		c.writeClose(websocket.CloseProtocolError, "", time.Now().Add(closeWait))
	case errors.Is(err, hold.ErrRefused):
		err = fmt.Errorf("a message of the server: %w", err)
		c.writeClose(websocket.CloseTryAgainLater, "", time.Now().Add(closeWait))
	}
	c.settle(End{Err: err})
	c.linger()
	return err
}

// linger lets a server that broke a rule read the close frame that says so: a socket
// that is closed with something unread is reset, and the frame may be lost.
func (c *Connection) linger() {
	_ = c.raw.SetReadDeadline(time.Now().Add(closeWait))
	_, _ = io.CopyN(io.Discard, c.raw, maxLinger)
}

// writeError says in the words of this package why writing failed.
func (c *Connection) writeError(err error) error {
	var network net.Error
	switch {
	case errors.Is(err, net.ErrClosed), errors.Is(err, websocket.ErrCloseSent):
		return ErrClosed
	case errors.As(err, &network) && network.Timeout():
		return fmt.Errorf("the server took nothing in time: %w", os.ErrDeadlineExceeded)
	}
	return plain(err)
}

// plain leaves out the addresses that a network error names: a plugin is not told
// what a name resolves to inside the operator's network.
func plain(err error) error {
	var operation *net.OpError
	if errors.As(err, &operation) {
		return operation.Err
	}
	return err
}

// errorText bounds a text, which may repeat what a server sent.
func errorText(err error) string {
	text := err.Error()
	if len(text) > maxError {
		text = text[:maxError] + "…"
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}
