package replica

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/subjects"
)

// authorLog announces the records that are about a plugin under development, for whoever
// works on it may not see the log of the host.
type authorLog struct {
	slog.Handler
	announces func(id string) bool // whether somebody works on it
	announce  func(subjects.OutputEvent)
	attrs     []slog.Attr // that all of its records have
}

// newAuthorLog is a log that passes records on to another.
func (r *Replica) newAuthorLog(log *slog.Logger) *slog.Logger {
	return slog.New(authorLog{
		Handler:   log.Handler(),
		announces: func(id string) bool { return r.isOpen.Load() && plugin.IsLinked(r.config.Load().Plugins.Folder, id) },
		announce: func(event subjects.OutputEvent) {
			event.Replica = r.id
			if body, err := json.Marshal(event); err == nil {
				_ = r.bus.Publish(subjects.Event(subjects.EventOutput, event.ID), body) // it is in the log as well
			}
		},
	})
}

// unannounced is the handler of a log without announcements.
func unannounced(handler slog.Handler) slog.Handler {
	if a, is := handler.(authorLog); is {
		return a.Handler
	}
	return handler
}

// Handle implements slog.Handler.
func (a authorLog) Handle(ctx context.Context, record slog.Record) error {
	if record.Level >= slog.LevelInfo {
		a.tell(record)
	}
	return a.Handler.Handle(ctx, record)
}

// WithAttrs implements slog.Handler.
func (a authorLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	a.Handler, a.attrs = a.Handler.WithAttrs(attrs), slices.Concat(a.attrs, attrs)
	return a
}

// WithGroup implements slog.Handler.
func (a authorLog) WithGroup(name string) slog.Handler {
	a.Handler = a.Handler.WithGroup(name)
	return a
}

func (a authorLog) tell(record slog.Record) {
	id, attrs := "", slices.Clone(a.attrs)
	record.Attrs(func(attr slog.Attr) bool {
		attrs = append(attrs, attr)
		return true
	})
	for _, attr := range attrs {
		if attr.Key == "plugin" {
			id = attr.Value.String()
		}
	}
	if id == "" || !a.announces(id) {
		return
	}
	var text strings.Builder
	_, _ = fmt.Fprintf(&text, "%v: %s", record.Level, record.Message)
	for _, attr := range attrs {
		if attr.Key != "plugin" {
			_, _ = fmt.Fprintf(&text, "; %s: %v", attr.Key, attr.Value)
		}
	}
	a.announce(subjects.OutputEvent{
		V: subjects.Version, ID: id, Time: record.Time.UTC(), Stream: subjects.StreamHost,
		Text: cut(strings.NewReplacer("\r", " ", "\n", " ").Replace(text.String()), maxErrorText),
	})
}
