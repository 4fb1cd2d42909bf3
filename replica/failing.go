package replica

import (
	"context"
	"sync/atomic"
)

// failing is what the requests of a plugin have met with in one call.
type failing struct {
	// upstream is that one got no answer, or one that says to try again; unanswered, that one may have been carried out
	// and got no answer.
	upstream, unanswered atomic.Bool
}

// failingKey is that of failing in a context.
type failingKey struct{}

// withFailing returns a context under which it is noted what the requests of a plugin have met with.
func withFailing(ctx context.Context) (context.Context, *failing) {
	f := new(failing)
	return context.WithValue(ctx, failingKey{}, f), f
}

// noteFailing notes that a request of a plugin failed.
func noteFailing(ctx context.Context, unanswered bool) {
	f, is := ctx.Value(failingKey{}).(*failing)
	if !is {
		return
	}
	f.upstream.Store(true)
	if unanswered {
		f.unanswered.Store(true)
	}
}
