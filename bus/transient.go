package bus

import (
	"context"
	"log/slog"
	"time"
)

// transientFor is how long something may fail that ends by itself in healthy operation, such as
// while the leader of a stream or consumer is elected, before the log warns of it.
const transientFor = 2 * Lease

// transient is an operation that is tried again for ever. It is for one goroutine.
type transient struct {
	since time.Time // when it began to fail; zero is that it does not
}

// works notes that it succeeds.
func (t *transient) works() { t.since = time.Time{} }

// failed logs a failure: as a warning once it has failed for transientFor.
func (t *transient) failed(ctx context.Context, log *slog.Logger, now time.Time, message string, attributes ...any) {
	if t.since.IsZero() {
		t.since = now
	}
	level := slog.LevelDebug
	if now.Sub(t.since) >= transientFor {
		level = slog.LevelWarn
	}
	log.Log(ctx, level, message, attributes...)
}
