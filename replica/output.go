package replica

import (
	"context"
	"log/slog"

	"github.com/pluginhost/pluginhost/subjects"
)

// outputLog is where a plugin's output goes: the log and, of a plugin under development,
// also the bus.
func (r *Replica) outputLog(g *generation) *slog.Logger {
	handler := unannounced(g.log.Handler())
	if !g.entry.Symlink {
		return slog.New(handler)
	}
	return slog.New(announcedOutput{handler, r.hosted(g.entry.ID)})
}

// announcedOutput announces what it logs.
type announcedOutput struct {
	slog.Handler
	hosted *hosted
}

// Handle implements slog.Handler.
func (a announcedOutput) Handle(ctx context.Context, record slog.Record) error {
	event := subjects.OutputEvent{
		V: subjects.Version, Replica: a.hosted.replica.id, ID: a.hosted.id, Time: record.Time.UTC(), Text: record.Message,
	}
	record.Attrs(func(attr slog.Attr) bool {
		if attr.Key == "stream" {
			event.Stream = attr.Value.String()
		}
		return true
	})
	a.hosted.replica.publish(subjects.EventOutput, a.hosted.id, event)
	return a.Handler.Handle(ctx, record)
}
