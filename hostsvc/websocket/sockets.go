package websocket

import (
	"context"
	"errors"
)

// ErrNotFound is an id that no connection has. Its text is the contract's (spec 5.2).
var ErrNotFound = errors.New("connection not found")

// Sockets keeps the connections of the plugin, wherever in the cluster they are. An id
// is 1 byte to 16 KiB of any value.
type Sockets interface {
	// Connect keeps the connection that dial makes under id, and closes the one that
	// has the id now before it dials. It runs and ends what dial returned. Errors are
	// returned as they are.
	Connect(ctx context.Context, id string, dial func(context.Context) (*Connection, error)) error
	// Send sends a message, whose data it does not keep. It returns ErrNotFound for an
	// id that no connection has.
	Send(ctx context.Context, id string, message Message) error
	// Close closes a connection with a code and a reason that CheckClose has passed. It
	// returns ErrNotFound for an id that no connection has.
	Close(ctx context.Context, id string, code int, reason string) error
}
