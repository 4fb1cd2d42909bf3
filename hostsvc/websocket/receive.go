package websocket

import (
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/gorilla/websocket"

	"github.com/pluginhost/pluginhost/sdk/hold"
)

// messageCopies is how many copies of a message there are while it is handled.
const messageCopies = 3

// errNotUTF8 is a text message that breaks the rules (RFC 6455, 8.1).
var errNotUTF8 = errors.New("a text message of the server is not UTF-8")

// receive reads a message, which is charged until release is called.
func (c *Connection) receive() (message Message, release func(), err error) {
	kind, reader, err := c.ws.NextReader()
	if err != nil {
		return Message{}, nil, err
	}
	memory := &messageMemory{hold: c.hold}
	ctx := context.WithValue(context.Background(), hold.Key{}, memory)
	// One byte more than may come: the library itself ends a longer message.
	data, _, err := hold.ReadAll(ctx, reader, -1, c.maxMessage+1)
	if err != nil {
		memory.release()
		return Message{}, nil, err
	}
	if kind == websocket.TextMessage && !utf8.Valid(data) {
		memory.release()
		return Message{}, nil, errNotUTF8
	}
	return Message{Binary: kind == websocket.BinaryMessage, Data: data}, memory.release, nil
}

// messageMemory is what a message is charged for. It is a hold.Holder.
type messageMemory struct {
	hold func(bytes int64) (release func(), err error)
	held []func()
}

// Hold implements hold.Holder.
func (m *messageMemory) Hold(bytes int) error {
	if m.hold == nil {
		return nil
	}
	release, err := m.hold(messageCopies * int64(bytes))
	if err != nil {
		return fmt.Errorf("%w: %w", hold.ErrRefused, err)
	}
	m.held = append(m.held, release)
	return nil
}

func (m *messageMemory) release() {
	for _, release := range m.held {
		release()
	}
	m.held = nil
}
