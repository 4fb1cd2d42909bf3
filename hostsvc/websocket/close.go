package websocket

import (
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"
)

const (
	// closeWait is how long a close frame may take to be sent, and then how long the
	// one of the server is waited for.
	closeWait = time.Second
	// maxReason is the longest reason of a close frame, in bytes (RFC 6455, 5.5).
	maxReason = 123
)

// CheckClose returns the code to close a connection with: 1000 for 0, and the code
// itself otherwise. It fails for codes that a close frame cannot have (RFC 6455, 7.4:
// allowed are 1000 to 1003, 1007 to 1014 and 3000 to 4999) and for reasons that are
// longer than 123 bytes or not UTF-8.
func CheckClose(code int, reason string) (int, error) {
	if code == 0 {
		code = websocket.CloseNormalClosure
	}
	switch {
	case code < 1000 || code > 4999:
		return 0, fmt.Errorf("close code %d is out of range: use 1000, or 3000 to 4999", code)
	case code >= 1004 && code <= 1006, code >= 1015 && code <= 2999:
		return 0, fmt.Errorf("close code %d is reserved and cannot be sent: use 1000, or 3000 to 4999", code)
	case len(reason) > maxReason:
		return 0, fmt.Errorf("close reason of %d bytes is over the limit of %d bytes", len(reason), maxReason)
	case !utf8.ValidString(reason):
		return 0, errors.New("close reason is not UTF-8")
	}
	return code, nil
}

// Close sends a close frame. No message is sent or handled from then on, and Run
// returns when the server has answered, after a second at most. Where a message that
// is being sent holds the frame up for a second, the connection is closed without.
// Close can be called while a message is handled; it does not wait for Run.
//
// The error is that of CheckClose, or ErrClosed where the connection has ended
// already.
func (c *Connection) Close(code int, reason string) error {
	code, err := CheckClose(code, reason)
	if err != nil {
		return err
	}
	if !c.settle(End{Code: code, Reason: reason, Own: true}) {
		return ErrClosed
	}
	if !c.sendClose(code, reason) {
		c.disconnect()
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.finished {
		c.closing = time.AfterFunc(closeWait, func() { _ = c.raw.Close() })
	}
	return nil
}

// sendClose sends a close frame behind the message that is being sent, if any.
func (c *Connection) sendClose(code int, reason string) bool {
	deadline := time.NewTimer(closeWait)
	defer deadline.Stop()
	until := time.Now().Add(closeWait)
	select {
	case c.writing <- struct{}{}:
		defer func() { <-c.writing }()
	case <-deadline.C:
		return false
	}
	return c.writeClose(code, reason, until)
}

// writeClose reports whether a close frame has been sent, now or before.
func (c *Connection) writeClose(code int, reason string, until time.Time) bool {
	err := c.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), until)
	return err == nil || errors.Is(err, websocket.ErrCloseSent)
}

// errHalfCode is a close frame that breaks the rules (RFC 6455, 5.5.1).
var errHalfCode = errors.New("the server sent a close frame with half a code")

// closed is called by the reader for a close frame of the server, and answers it.
func (c *Connection) closed(code int, reason string) error {
	if c.firstClose.isHalf() {
		return errHalfCode
	}
	answer, text := code, ""
	if !c.settle(End{Code: code, Reason: reason}) {
		if end := c.settled(); end.Own {
			answer, text = end.Code, end.Reason // Close may be about to send the same
		}
	}
	c.writeClose(answer, text, time.Now().Add(closeWait))
	return nil
}

// Abort closes the connection at once and without a close frame. It can be called more
// than once, and instead of Run.
func (c *Connection) Abort() { c.fail(ErrAborted) }
