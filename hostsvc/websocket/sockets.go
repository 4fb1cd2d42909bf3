package websocket

import (
	"context"
	"errors"
)

// ErrNotFound is an id that no connection has. Plugins know its text.
var ErrNotFound = errors.New("connection not found")

// Opening is a connection that a plugin opens.
type Opening struct {
	ID string
	// IsMade says that the plugin gave no id, and the Service made this one.
	IsMade bool
	// Dial makes the connection. Whoever calls it runs or aborts what it returns.
	Dial func(context.Context) (*Connection, error)
}

// Sockets keeps the connections of the plugin, wherever in the cluster they are. An id
// is 1 byte to 16 KiB of any value.
type Sockets interface {
	// Connect dials and keeps the connection, and closes the one that has its id now
	// before it dials. It runs and ends what Dial returned. Errors are returned as they are.
	Connect(ctx context.Context, opening Opening) error
	// Send sends a message, whose data it does not keep. It returns ErrNotFound for an
	// id that no connection has.
	Send(ctx context.Context, id string, message Message) error
	// Close closes a connection with a code and a reason that CheckClose has passed. It
	// returns ErrNotFound for an id that no connection has.
	Close(ctx context.Context, id string, code int, reason string) error
}
