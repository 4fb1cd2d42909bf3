//go:build unix

package main

import (
	"strings"
	"testing"

	"github.com/pluginhost/pluginhost/testenv"
)

// The short form of make chaos-plays.
func TestNoAcceptedPlayIsLostWhenReplicasAndServersDie(t *testing.T) {
	t.Parallel()
	plays := "4000"
	if testing.Short() {
		plays = "1000"
	}
	report, err := testenv.Plays(t, "-seed", "1", "-plays", plays, "-users", "20", "-controls", "0", "-every", "1s")
	if err != nil {
		t.Errorf("%v\n%s", err, report)
	}
}

func TestAcknowledgingBeforeCallingIsNoticed(t *testing.T) {
	t.Parallel()
	report, err := testenv.Plays(t, "-seed", "1", "-plays", "300", "-users", "20", "-controls", "0", "-every", "1s", "-unkept")
	if err == nil || !strings.Contains(report, "accepted plays were lost") {
		t.Errorf("%v\n%s", err, report)
	}
}
