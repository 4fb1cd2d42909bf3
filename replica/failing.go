package replica

import (
	"context"
	"sync/atomic"
)

// failingKey is that of what a call notes of the plugin's own requests.
type failingKey struct{}

// withFailing returns a context under which it is noted that a request of the plugin got no answer, or one that says to
// try again.
func withFailing(ctx context.Context) (context.Context, *atomic.Bool) {
	failing := new(atomic.Bool)
	return context.WithValue(ctx, failingKey{}, failing), failing
}

// noteFailing notes that a request of a plugin failed so.
func noteFailing(ctx context.Context) {
	if failing, is := ctx.Value(failingKey{}).(*atomic.Bool); is {
		failing.Store(true)
	}
}
