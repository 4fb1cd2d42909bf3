package call

import (
	"context"
	"slices"
	"time"

	"github.com/pluginhost/pluginhost/subjects"
)

// The keys under which the context of a call has what Via and TimeLimit return.
type (
	viaKey   struct{}
	limitKey struct{}
)

// Via returns the ids of the plugins that wait for the call with this context,
// the outermost first; none is nil. They are those of the Request, so
// the plugin that is called is not among them. The caller must not change them.
func Via(ctx context.Context) []string {
	ids, _ := ctx.Value(viaKey{}).([]string)
	return ids
}

// TimeLimit returns how long the call with this context may take altogether. 0 is a context
// of no call.
func TimeLimit(ctx context.Context) time.Duration {
	limit, _ := ctx.Value(limitKey{}).(time.Duration)
	return limit
}

// checkVia refuses a call that leads back into a plugin that waits for it: each round takes
// one more instance of the plugin, until all wait for each other.
func checkVia(id string, via []string) error {
	if id != "" && slices.Contains(via, id) {
		return subjects.Errorf(subjects.ErrBadRequest, "the call leads back into plugin %s, which is waiting for it", id)
	}
	return nil
}
