package schedule_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
)

// The server takes a claim so late that the runner has looked for it in vain already, or
// has given the fire up for now.
func TestAClaimThatIsTakenLateIsNoRerun(t *testing.T) {
	t.Parallel()
	for name, noTerm := range map[string]error{"while it is looked for": nil, "while the fire is given up": errors.New("the term is not known")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := newRunnerTest(t)
			record := x.set("s", "@every 1s")
			key := subjects.ScheduleKey("p", "s")
			claimed := record
			claimed.Last, claimed.Running = planned(1), &subjects.FireClaim{Replica: "r1", Planned: planned(1), Term: 1, Attempt: 1}
			late, err := json.Marshal(claimed)
			if err != nil {
				t.Fatal(err)
			}
			setNoTerm := func(err error) {
				x.mu.Lock()
				defer x.mu.Unlock()
				x.noTerm = err
			}
			lost, looked := false, false
			carryOut := sync.OnceFunc(func() {
				if _, err := x.records.Put(t.Context(), key, late); err != nil {
					t.Error(err)
				}
				setNoTerm(nil)
			})
			link := testenv.StartNATSLink(t, x.url, func(_ *testenv.NATSLink, subject string) bool {
				isLook := strings.HasPrefix(subject, "$JS.API.STREAM.MSG.GET.KV_pluginhost-schedules")
				switch isWrite := subject == "$KV.pluginhost-schedules."+key; {
				case isWrite && !lost:
					lost = true
					setNoTerm(noTerm)
					return false
				case lost && looked && (isLook || isWrite):
					carryOut()
				}
				looked = lost && (looked || isLook)
				return true
			})
			x.url = link.URL()
			x.runner("r1", atOnce)
			x.mustFire(record, planned(1), 1)
			if f := x.ran(); f.claim.Attempt != 1 {
				t.Errorf("it runs as %+v", f.claim)
			}
			x.awaitRecord("s", hasEnded)
			if n := locked(&x.mu, func() int { return x.reruns }); n > 0 {
				t.Errorf("%d reruns are announced", n)
			}
		})
	}
}

// While a fire runs, somebody overwrites the record with what is none.
func TestARecordThatCannotBeReadKeepsNoRunner(t *testing.T) {
	t.Parallel()
	x := newRunnerTest(t)
	broken, other := x.set("broken", "@every 1s"), x.set("other", "@every 1s")
	x.runnerOf("r1", 1, func(context.Context) error {
		_, err := x.records.Put(context.Background(), subjects.ScheduleKey("p", "broken"), []byte("broken"))
		return err
	})
	for _, record := range []subjects.ScheduleRecord{broken, other} {
		x.mustFire(record, planned(1), 1)
		if f := x.ran(); f.schedule != string(record.Schedule) {
			t.Errorf("%s ran", f.schedule)
		}
	}
	x.awaitRecord("other", hasEnded)
}

// A schedule is replaced after its record was read, and before its fire is claimed.
func TestAClaimTakesThePlaceOfNothingNewer(t *testing.T) {
	t.Parallel()
	x := newRunnerTest(t)
	record := x.set("s", "@every 1s")
	newer := record
	newer.Set = "newer"
	replace := sync.OnceFunc(func() { x.write(newer) })
	link := testenv.StartNATSLink(t, x.url, func(_ *testenv.NATSLink, subject string) bool {
		if subject == "$KV.pluginhost-schedules."+subjects.ScheduleKey("p", "s") {
			replace()
		}
		return true
	})
	x.url = link.URL()
	x.runner("r1", atOnce)
	x.mustFire(record, planned(1), 1)
	x.mustFire(newer, planned(2), 1)
	if f := x.ran(); !f.claim.Planned.Equal(planned(2)) {
		t.Errorf("the fire of %v ran, of a schedule that was replaced", f.claim.Planned)
	}
}
