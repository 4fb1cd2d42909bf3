//go:build unix

package main

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/pluginhost/pluginhost/testenv"
)

// The short forms of make chaos. How late fires are depends on what else the machine
// does, and is told by the long form alone.
func TestNothingIsLostOrRunsTwiceWhenReplicasAndServersDie(t *testing.T) {
	leaders, kinds := "3", []string{"kill a replica", "pause a replica", "kill an owner of connections", "a stream older than its consumer"}
	if testing.Short() {
		leaders, kinds = "1", kinds[2:]
	}
	report, err := testenv.Chaos(t, "-seed", "1", "-leaders", leaders, "-others", strconv.Itoa(len(kinds)), "-kinds", strings.Join(kinds, ","), "-controls", "0", "-punctual=false")
	if err != nil {
		t.Errorf("%v\n%s", err, report)
	}
}

func TestAMissingClaimIsNoticed(t *testing.T) {
	if testing.Short() {
		t.Skip("package schedule tests its claims")
	}
	report, err := testenv.Chaos(t, "-seed", "1", "-leaders", "4", "-others", "0", "-without", "unclaimed", "-punctual=false")
	if err == nil || !strings.Contains(report, "ran again without a word") {
		t.Errorf("%v\n%s", err, report)
	}
}

// A fault that a machine cannot have, or for which no time was left, says nothing.
func TestAKindOfFaultThatDidNotHappenIsNotGood(t *testing.T) {
	wanted := options{leaders: 2, others: len(kinds), kinds: kinds}
	happened := make(map[string]int)
	for _, kind := range slices.Concat(leaderKinds, kinds) {
		happened[kind] = 1
	}
	r := report{Happened: happened}
	if r.judgeKinds(wanted); len(r.Faults) > 0 {
		t.Errorf("all have happened: %q", r.Faults)
	}
	for _, kind := range slices.Concat(leaderKinds, kinds) {
		r := report{Happened: maps.Clone(happened)}
		delete(r.Happened, kind)
		r.judgeKinds(wanted)
		if text := r.Text(); !strings.Contains(text, "NOT good") || !strings.Contains(text, kind) {
			t.Errorf("without %q: %s", kind, text)
		}
	}
}
