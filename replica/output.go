package replica

import (
	"context"
	"log/slog"
	"time"

	"github.com/pluginhost/pluginhost/subjects"
)

// outputLog is where a plugin's output goes: the log and, of a plugin under development,
// also the bus.
func (r *Replica) outputLog(g *generation) *slog.Logger {
	if !g.entry.Symlink {
		return g.log
	}
	return slog.New(announcedOutput{g.log.Handler(), r.hosted(g.entry.ID)})
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

// tellAuthor announces what the host has to say to whoever develops the plugin.
func (h *hosted) tellAuthor(text string) {
	if current := h.current.Load(); current == nil || !current.entry.Symlink {
		return
	}
	h.replica.publish(subjects.EventOutput, h.id, subjects.OutputEvent{
		V: subjects.Version, Replica: h.replica.id, ID: h.id, Time: time.Now().UTC(), Stream: subjects.StreamHost, Text: text,
	})
}
