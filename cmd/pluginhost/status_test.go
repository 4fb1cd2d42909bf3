package main

import (
	"strings"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/subjects"
)

func TestStatusTellsOfFiresThatNATSWouldNotDeliver(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	err := printReasons(&out, []subjects.Status{{
		Header:         subjects.Header{Replica: "host1-zlghjfm0"},
		RecoveredFires: []subjects.RecoveredFires{{ID: "ticker", Times: 2, Last: time.Now()}},
	}})
	if err != nil || !strings.Contains(out.String(), "ticker on host1-zlghjfm0: NATS would never have delivered fires of its schedules, which were handed out anew (2, ") {
		t.Errorf("%q, %v", out.String(), err)
	}
}
