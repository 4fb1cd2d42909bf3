package natswire

import (
	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/subjects"
)

// RefusedError is subjects.ErrBadRequest, with the reason, for a message that has come without its
// headers and its payload; otherwise nil.
func RefusedError(header nats.Header) error {
	if reason, refused := Refused(header); refused {
		return subjects.Errorf(subjects.ErrBadRequest, "%s", reason)
	}
	return nil
}
