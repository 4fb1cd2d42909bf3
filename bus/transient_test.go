package bus

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestWhatFailsForAMomentIsNoWarning(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	begun := time.Now()
	var failing transient
	fail := func(after time.Duration) {
		failing.failed(t.Context(), logger, begun.Add(after), "failed", "error", errors.New("no leader"))
	}
	for _, step := range []struct {
		after    time.Duration
		works    bool
		warnings int // so far
	}{
		{after: 0}, {after: transientFor - 1}, {after: transientFor, warnings: 1}, {after: transientFor + 1, warnings: 2},
		{after: 2 * transientFor, works: true, warnings: 2}, {after: 2 * transientFor, warnings: 2}, {after: 3 * transientFor, warnings: 3},
	} {
		if step.works {
			failing.works()
		} else {
			fail(step.after)
		}
		if n := strings.Count(log.String(), "level=WARN"); n != step.warnings {
			t.Errorf("after %v there are %d warnings, want %d", step.after, n, step.warnings)
		}
	}
}
