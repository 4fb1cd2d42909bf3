package websocket

import (
	"fmt"

	"github.com/gorilla/websocket"
)

// Message is a message of either direction. A text message that comes is UTF-8; one that a
// plugin sends goes out as it is, valid UTF-8 or not.
type Message struct {
	// Binary tells a binary message from a text message.
	Binary bool
	// Data is the whole message.
	Data []byte
}

func (m Message) kind() int {
	if m.Binary {
		return websocket.BinaryMessage
	}
	return websocket.TextMessage
}

func checkSize(size, limit int64) error {
	if size > limit {
		return fmt.Errorf("message of %d bytes is over the limit of %d bytes", size, limit)
	}
	return nil
}
