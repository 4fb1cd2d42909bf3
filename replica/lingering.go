package replica

import (
	"context"
	"time"
)

// lingering returns a context that goes on for a little when the replica leaves: for what it
// writes then, and others find out without it. It ends with parent, whose values it has; the
// caller ends it.
func (r *Replica) lingering(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(parent)
	unhook := context.AfterFunc(r.running, func() {
		timer := time.AfterFunc(r.bus.Jet().LeavePatience(), cancel)
		context.AfterFunc(ctx, func() { timer.Stop() })
	})
	return ctx, func() {
		unhook()
		cancel()
	}
}
