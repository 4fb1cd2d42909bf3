package client

import (
	"errors"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/subjects"
)

// errAtOnce marks a failure after which sending again at once does not help.
var errAtOnce = errors.New("sending it again at once does not help")

// lostError is that nothing was sent for want of a connection.
type lostError struct {
	failure *subjects.Error
	cause   error // of nats.go
}

func (e *lostError) Error() string { return e.failure.Error() }

func (e *lostError) Unwrap() []error { return []error{e.failure, e.cause, errAtOnce} }

// maybeRanError is that the connection went after a request that may have been sent.
type maybeRanError struct {
	failure *subjects.Error
	cause   error // of nats.go
}

func (e *maybeRanError) Error() string { return e.failure.Error() }

func (e *maybeRanError) Unwrap() []error { return []error{e.failure, e.cause} }

// broke is the failure of a request during which the connection went.
func broke(id string, cause error) error {
	return &maybeRanError{subjects.Errorf(subjects.ErrDeadlineExceeded, "no reply from %s, and none can come: %w", id, cause), cause}
}

// connected refuses what is about to be sent while the connection is known to be lost: nats.go
// would keep it, and send it once the connection is back, whoever waits for it then.
func (c *Client) connected() error {
	switch c.conn.Status() {
	case nats.CLOSED:
		return lost(nats.ErrConnectionClosed)
	case nats.RECONNECTING, nats.CONNECTING, nats.DISCONNECTED:
		return lost(nats.ErrConnectionReconnecting)
	default:
		return nil
	}
}

// lost is the failure of what nats.go did not take.
func lost(cause error) error {
	text := "nothing was sent: the connection to NATS is lost, and tried again"
	if errors.Is(cause, nats.ErrConnectionClosed) {
		text = "nothing was sent: the connection to NATS is closed, make another one"
	}
	if errors.Is(cause, nats.ErrConnectionDraining) {
		text = "nothing was sent: the connection to NATS is about to be closed"
	}
	return &lostError{subjects.Errorf(subjects.ErrUnavailable, "%s", text), cause}
}

// jetStream is JetStream, if the connection is there.
func (c *Client) jetStream() (jetstream.JetStream, error) {
	if err := c.connected(); err != nil {
		return nil, err
	}
	return jetstream.New(c.conn)
}
