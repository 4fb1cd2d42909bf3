package plugintest

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
)

// testLog is the log of the test, as long as that runs.
type testLog struct {
	t testing.TB

	mu    sync.Mutex
	ended bool
}

// Write implements io.Writer. It never fails.
func (l *testLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ended {
		_, _ = l.t.Output().Write(p)
	}
	return len(p), nil
}

// printf writes a line.
func (l *testLog) printf(format string, args ...any) { _, _ = fmt.Fprintf(l, format+"\n", args...) }

func (l *testLog) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
}

// output keeps the lines that the plugin writes, which the runtime logs. How many it logs
// is bounded.
type output struct {
	log io.Writer

	mu    sync.Mutex
	lines strings.Builder
}

var _ slog.Handler = (*output)(nil)

func (o *output) text() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.lines.String()
}

// Enabled implements slog.Handler.
func (*output) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements slog.Handler.
func (o *output) Handle(_ context.Context, record slog.Record) error {
	line := record.Message
	if record.Level > slog.LevelInfo { // of the runtime
		record.Attrs(func(attr slog.Attr) bool {
			line += " " + attr.String()
			return true
		})
	}
	o.mu.Lock()
	_, _ = fmt.Fprintln(&o.lines, line)
	o.mu.Unlock()
	_, err := fmt.Fprintln(o.log, "plugin |", line)
	return err
}

// WithAttrs implements slog.Handler; the runtime does not use it.
func (o *output) WithAttrs([]slog.Attr) slog.Handler { return o }

// WithGroup implements slog.Handler; the runtime does not use it.
func (o *output) WithGroup(string) slog.Handler { return o }
