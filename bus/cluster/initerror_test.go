package cluster

import (
	"testing"
	"time"
)

func TestPauseBeforeAnotherOnInitGrowsAndIsBounded(t *testing.T) {
	t.Parallel()
	for failures, want := range map[int]time.Duration{
		0: 5 * time.Second, 1: 5 * time.Second, 2: 10 * time.Second, 3: 20 * time.Second, 6: 160 * time.Second, 7: 5 * time.Minute, 1 << 30: 5 * time.Minute,
	} {
		if got := (&InitError{Failures: failures}).RetryAfter(); got != want {
			t.Errorf("after %d failures it is %v, want %v", failures, got, want)
		}
	}
}
