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
	replica *Replica
	attrs   []slog.Attr // that all of its records have
}

// newAuthorLog is a log that passes records on to another.
func newAuthorLog(r *Replica, log *slog.Logger) *slog.Logger {
	return slog.New(authorLog{Handler: log.Handler(), replica: r})
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
		a.announce(record)
	}
	return a.Handler.Handle(ctx, record)
}

// WithAttrs implements slog.Handler.
func (a authorLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return authorLog{Handler: a.Handler.WithAttrs(attrs), replica: a.replica, attrs: slices.Concat(a.attrs, attrs)}
}

// WithGroup implements slog.Handler.
func (a authorLog) WithGroup(name string) slog.Handler {
	return authorLog{Handler: a.Handler.WithGroup(name), replica: a.replica, attrs: a.attrs}
}

func (a authorLog) announce(record slog.Record) {
	id, attrs, r := "", slices.Clone(a.attrs), a.replica
	record.Attrs(func(attr slog.Attr) bool {
		attrs = append(attrs, attr)
		return true
	})
	for _, attr := range attrs {
		if attr.Key == "plugin" {
			id = attr.Value.String()
		}
	}
	if id == "" || !r.isOpen.Load() || !plugin.IsLinked(r.config.Load().Plugins.Folder, id) {
		return
	}
	var text strings.Builder
	_, _ = fmt.Fprintf(&text, "%v: %s", record.Level, record.Message)
	for _, attr := range attrs {
		if attr.Key != "plugin" {
			_, _ = fmt.Fprintf(&text, "; %s: %v", attr.Key, attr.Value)
		}
	}
	body, err := json.Marshal(subjects.OutputEvent{
		V: subjects.Version, Replica: r.id, ID: id, Time: record.Time.UTC(), Stream: subjects.StreamHost,
		Text: cut(strings.NewReplacer("\r", " ", "\n", " ").Replace(text.String()), maxErrorText),
	})
	if err == nil {
		_ = r.bus.Publish(subjects.Event(subjects.EventOutput, id), body) // it is in the log as well
	}
}
