//go:build unix

package main

import (
	"strings"
	"testing"

	"github.com/pluginhost/pluginhost/testenv"
)

// The short forms of make chaos. How late fires are depends on what else the machine
// does, and is told by the long form alone.
func TestNothingIsLostOrRunsTwiceWhenReplicasAndServersDie(t *testing.T) {
	report, err := testenv.Chaos(t, "-seed", "1", "-leaders", "3", "-others", "3", "-controls", "0", "-punctual=false")
	if err != nil {
		t.Errorf("%v\n%s", err, report)
	}
}

func TestAMissingClaimIsNoticed(t *testing.T) {
	report, err := testenv.Chaos(t, "-seed", "1", "-leaders", "4", "-others", "0", "-without", "unclaimed", "-punctual=false")
	if err == nil || !strings.Contains(report, "ran again without a word") {
		t.Errorf("%v\n%s", err, report)
	}
}
