package jet

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
	const tolerated = time.Minute
	failing := Transient{tolerated: tolerated}
	fail := func(after time.Duration) {
		failing.Failed(t.Context(), logger, begun.Add(after), "failed", "error", errors.New("no leader"))
	}
	for _, step := range []struct {
		after    time.Duration
		works    bool
		warnings int // so far
	}{
		{after: 0}, {after: tolerated - 1}, {after: tolerated, warnings: 1}, {after: tolerated + 1, warnings: 2},
		{after: 2 * tolerated, works: true, warnings: 2}, {after: 2 * tolerated, warnings: 2}, {after: 3 * tolerated, warnings: 3},
	} {
		if step.works {
			failing.Works()
		} else {
			fail(step.after)
		}
		if n := strings.Count(log.String(), "level=WARN"); n != step.warnings {
			t.Errorf("after %v there are %d warnings, want %d", step.after, n, step.warnings)
		}
	}
}
