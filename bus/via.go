package bus

import (
	"context"
	"slices"

	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/subjects"
)

// viaKey is the key under which the context of a call has its ids.
type viaKey struct{}

// Via returns the ids of the plugins that wait for the call with this context,
// the outermost first; none is nil. They are those of the request's header, so
// the plugin that is called is not among them. The caller must not change them.
func Via(ctx context.Context) []string {
	ids, _ := ctx.Value(viaKey{}).([]string)
	return ids
}

// via reads who waits for a call. A call that leads back into a plugin that
// waits for it is refused: each round takes one more instance of the plugin,
// until all wait for each other.
func (e *Endpoint) via(header nats.Header) ([]string, error) {
	value, err := subjects.HeaderValue(header, subjects.HeaderVia)
	if err != nil {
		return nil, subjects.Errorf(subjects.ErrBadRequest, "%w", err)
	}
	ids, err := subjects.ParseVia(value)
	if err != nil {
		return nil, subjects.Errorf(subjects.ErrBadRequest, "header %s: %w", subjects.HeaderVia, err)
	}
	if slices.Contains(ids, e.config.ID) {
		return nil, subjects.Errorf(subjects.ErrBadRequest, "the call leads back into plugin %s, which is waiting for it", e.config.ID)
	}
	return ids, nil
}
