package jet

import (
	"context"
	"log/slog"
	"time"
)

// Transient is an operation that is tried again for ever. What it fails by may end by itself in
// healthy operation, such as while the leader of a stream or consumer is elected. It is for one
// goroutine.
type Transient struct {
	tolerated time.Duration // how long it may fail before the log warns of it
	since     time.Time     // when it began to fail; zero is that it does not
}

// NewTransient returns a Transient that may fail for two leases before the log warns.
func (h *Handle) NewTransient() *Transient { return &Transient{tolerated: 2 * h.config.Lease} }

// Works notes that it succeeds.
func (t *Transient) Works() { t.since = time.Time{} }

// Failed logs a failure: as a warning once it has failed for as long as is tolerated.
func (t *Transient) Failed(ctx context.Context, log *slog.Logger, now time.Time, message string, attributes ...any) {
	if t.since.IsZero() {
		t.since = now
	}
	level := slog.LevelDebug
	if now.Sub(t.since) >= t.tolerated {
		level = slog.LevelWarn
	}
	log.Log(ctx, level, message, attributes...)
}
