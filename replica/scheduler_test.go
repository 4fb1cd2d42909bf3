package replica_test

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv/journal"
)

// often is an expression for every second.
const often = "@every 1s"

func once(id string, delay int) journal.Command {
	return journal.Command{Do: "once", ID: []byte(id), Delay: delay, Payload: []byte("of " + id)}
}

func every(id, expression string) journal.Command {
	return journal.Command{Do: "every", ID: []byte(id), Expression: expression, Payload: []byte("of " + id)}
}

func cancel(id string) journal.Command { return journal.Command{Do: "cancel", ID: []byte(id)} }

const noSchedule = "schedule not found"

// schedulesTest is a use of schedules: begin sets them, and the check that it returns
// sees what has become of them.
type schedulesTest struct {
	name  string
	begin func(s *stateful) (check func(t *testing.T, s *stateful))
}

// What one plugin can do with schedules, all of it at the same time, on two
// replicas.
func TestSchedules(t *testing.T) {
	t.Parallel()
	s := newStateful(t, nil)
	s.start()
	s.start()
	tests := []schedulesTest{
		{"an id is made where there is none", madeIDs},
		{"what is no expression fails the call with the reason", badExpressions},
		{"a cancelled schedule does not fire", cancelled},
		{"a callback that sets its own id anew is called again", setInCallback},
		{"a one-time schedule is none in its own callback", cancelledInCallback("once", 0)},
		{"a recurring schedule ends in its own callback", cancelledInCallback("every", 1)},
		{"runs of one schedule do not overlap", slowCallback},
	}
	for name, delay := range map[string]int{"at once": 0, "in the past": -1_000_000, "in a second": 1} {
		tests = append(tests, schedulesTest{"a one-time schedule fires " + name, oneTime(name, delay)})
	}
	for _, expression := range []string{"* * * * * *", often, "TZ=America/New_York * * * * * *"} {
		tests = append(tests, schedulesTest{"each planned time of " + expression + " fires once", plannedTimes(expression)})
	}
	for _, kinds := range [][2]string{{"once", "once"}, {"every", "once"}, {"once", "every"}, {"every", "every"}} {
		tests = append(tests, schedulesTest{kinds[0] + " is replaced by " + kinds[1], replaced(kinds[0], kinds[1])})
	}
	for name, err := range map[string]error{"an error in the response": errors.New("no luck with it"), "an error in its place": journal.GoError("no luck at all")} {
		tests = append(tests, schedulesTest{"after " + name + " a recurring schedule goes on", failing(name, err)})
	}
	checks := map[string]func(*testing.T, *stateful){}
	for _, test := range tests {
		checks[test.name] = test.begin(s)
	}
	for name, check := range checks {
		t.Run(name, func(t *testing.T) { check(t, s.in(t)) })
	}
}

// soonOf is a schedule of a kind that is due after seconds.
func soonOf(kind, id string, seconds int) journal.Command {
	if kind == "once" {
		return once(id, seconds)
	}
	return every(id, fmt.Sprintf("@every %ds", seconds))
}

func oneTime(name string, delay int) func(*stateful) func(*testing.T, *stateful) {
	return func(s *stateful) func(*testing.T, *stateful) {
		id, payload := "clear\u200b\xff a b:c/"+name, []byte("payload\x00\xff")
		got := string(s.do(journal.Command{Do: "once", ID: []byte(id), Delay: delay, Payload: payload}).ID)
		return func(t *testing.T, s *stateful) {
			if got != id {
				t.Errorf("the id is %q", got)
			}
			if n := s.ran(id); n != 1 {
				t.Fatalf("it fires %d times", n)
			}
			if fire := s.journal.About("fire", id)[0]; string(fire.Payload) != string(payload) || fire.Recurring {
				t.Errorf("%+v", fire)
			}
		}
	}
}

func madeIDs(s *stateful) func(*testing.T, *stateful) {
	ids := map[string]string{}
	for _, kind := range []string{"once", "every"} {
		ids[kind] = string(s.do(soonOf(kind, "", 1)).ID)
	}
	return func(t *testing.T, s *stateful) {
		for kind, id := range ids {
			if !regexp.MustCompile(`^[-_0-9a-zA-Z]{10}$`).MatchString(id) {
				t.Errorf("the id is %q", id)
			}
			if fire := s.journal.AwaitAbout(t, "fire", id, 1)[0]; fire.Recurring != (kind == "every") {
				t.Errorf("%+v", fire)
			}
		}
		s.do(cancel(ids["every"]))
	}
}

// plannedTimes follows the claims of a recurring schedule.
func plannedTimes(expression string) func(*stateful) func(*testing.T, *stateful) {
	return func(s *stateful) func(*testing.T, *stateful) {
		s.do(every(expression, expression))
		watcher := s.watch(subjects.ScheduleBucket, subjects.ScheduleKey("p", expression))
		return func(t *testing.T, s *stateful) {
			var claims []subjects.ScheduleRecord
			awaitWatched(s, watcher, func(r *subjects.ScheduleRecord) bool {
				if r != nil && r.Running != nil && (len(claims) == 0 || r.Last.After(claims[len(claims)-1].Last)) {
					claims = append(claims, *r)
				}
				return len(claims) == 3
			})
			for i, claim := range claims[1:] {
				before := claims[i]
				if step := claim.Last.Sub(before.Last); step != time.Duration(1+claim.Missed-before.Missed)*time.Second || claim.Running.Attempt != 1 {
					t.Errorf("%v is followed by %v, with %d counted as missed, after %d", before.Last, claim.Last, claim.Missed, before.Missed)
				}
			}
			// One run for each planned time is all there is.
			s.do(cancel(expression))
			first, last := claims[0].Created, time.Now()
			fires := s.journal.AwaitAbout(t, "fire", expression, 3)
			if most := int(last.Sub(first)/time.Second) + 1; len(fires) > most {
				t.Errorf("%d fires in %v", len(fires), last.Sub(first))
			}
			for _, fire := range fires {
				if !fire.Recurring || string(fire.Payload) != "of "+expression {
					t.Errorf("%+v", fire)
				}
			}
		}
	}
}

func badExpressions(*stateful) func(*testing.T, *stateful) {
	return func(t *testing.T, s *stateful) {
		for expression, reason := range map[string]string{
			"":                               "empty spec string",
			"* * * *":                        "expected 5 or 6 fields, found 4",
			"60 * * * *":                     "above maximum",
			"@every 0s":                      "a period above 0",
			"@sometimes":                     "unrecognized descriptor",
			"TZ=":                            "time zone",
			"TZ=Mars/Olympus * * * * *":      "time zone",
			"0 0 31 2 *":                     "names no time",
			strings.Repeat("* ", 1000) + "*": "bytes",
		} {
			_, err := s.try(every("bad", expression))
			if !errors.Is(err, subjects.ErrPlugin) || !strings.Contains(err.Error(), "failed to schedule recurring job: ") || !strings.Contains(err.Error(), reason) {
				t.Errorf("%.50q: %v, want %q", expression, err, reason)
			}
		}
		s.awaitSchedule("bad", isNone)
		s.do(once("after bad ones", 0))
		s.ran("after bad ones")
	}
}

func cancelled(s *stateful) func(*testing.T, *stateful) {
	ids := map[string]string{"once": "cancelled once", "every": "cancelled every"}
	for kind, id := range ids {
		s.do(soonOf(kind, id, 4))
		s.do(cancel(id))
	}
	s.do(once("after the cancelled", 5))
	return func(t *testing.T, s *stateful) {
		s.ran("after the cancelled")
		for _, id := range ids {
			s.awaitSchedule(id, isNone)
			if fires := s.journal.About("fire", id); len(fires) > 0 {
				t.Errorf("%s fires %d times", id, len(fires))
			}
		}
		for _, id := range []string{"nobody", "", ids["once"], ids["every"], strings.Repeat("x", 100_000)} {
			if text := s.fails(cancel(id)); text != noSchedule {
				t.Errorf("%.50q: %q", id, text)
			}
		}
	}
}

// replaced replaces a schedule that is due in a second by one that is due in three.
func replaced(former, next string) func(*stateful) func(*testing.T, *stateful) {
	return func(s *stateful) func(*testing.T, *stateful) {
		id := former + " by " + next
		s.do(soonOf(former, id, 1))
		second := soonOf(next, id, 3)
		second.Payload = []byte("new")
		s.do(second)
		at := time.Now()
		record := s.awaitSchedule(id, isThere)
		return func(t *testing.T, s *stateful) {
			if string(record.Payload) != "new" || record.IsRecurring() != (next == "every") {
				t.Errorf("the record is %+v", record)
			}
			isNew := func(e journal.Event) bool { return string(e.Payload) == "new" }
			for n := 1; !slices.ContainsFunc(s.journal.AwaitAbout(t, "fire", id, n), isNew); n++ {
				t.Log("the former schedule fires")
			}
			if next == "every" {
				s.do(cancel(id))
			}
			s.awaitSchedule(id, isNone)
			late := 0
			for _, fire := range s.journal.About("fire", id) {
				if !isNew(fire) && fire.At.After(at) {
					late++
				}
				if isNew(fire) && fire.Recurring != (next == "every") {
					t.Errorf("%+v", fire)
				}
			}
			if late > 1 || former == "once" && late > 0 && next == "once" { // one may have been on its way
				t.Errorf("the former schedule fires %d times", late)
			}
		}
	}
}

// inCallback has the guest do something in the first callback of a schedule.
func (s *stateful) inCallback(id string, commands ...journal.Command) {
	var done atomic.Bool
	s.journal.On(id, func(e journal.Event) ([]journal.Command, error) {
		if e.Event == "fire" && done.CompareAndSwap(false, true) {
			return commands, nil
		}
		return nil, nil
	})
}

func setInCallback(s *stateful) func(*testing.T, *stateful) {
	s.inCallback("again", once("again", 0))
	s.do(journal.Command{Do: "once", ID: []byte("again"), Payload: []byte("first")})
	return func(t *testing.T, s *stateful) {
		s.journal.AwaitAbout(t, "fire", "again", 2)
		if n := s.ran("again"); n != 2 {
			t.Errorf("it fires %d times", n)
		}
		if fires := s.journal.About("fire", "again"); string(fires[0].Payload) != "first" || string(fires[1].Payload) != "of again" {
			t.Errorf("%+v", fires)
		}
	}
}

// cancelledInCallback has a schedule cancel itself when it fires.
func cancelledInCallback(kind string, delay int) func(*stateful) func(*testing.T, *stateful) {
	return func(s *stateful) func(*testing.T, *stateful) {
		id := "self " + kind
		s.inCallback(id, cancel(id))
		s.do(soonOf(kind, id, delay))
		s.do(once("after "+id, delay+2))
		return func(t *testing.T, s *stateful) {
			result := s.journal.AwaitAbout(t, "done", id, 1)[0].Results[0]
			if kind == "every" && !result.OK || kind == "once" && result.Error != noSchedule {
				t.Errorf("%+v", result)
			}
			s.ran("after " + id)
			if n := s.ran(id); n != 1 {
				t.Errorf("it fires %d times", n)
			}
		}
	}
}

func failing(id string, err error) func(*stateful) func(*testing.T, *stateful) {
	return func(s *stateful) func(*testing.T, *stateful) {
		s.journal.On(id, func(journal.Event) ([]journal.Command, error) { return nil, err })
		s.do(every(id, often))
		return func(t *testing.T, s *stateful) {
			s.journal.AwaitAbout(t, "fire", id, 3)
			s.do(cancel(id))
			if !s.log.has("schedule callback failed", id, err.Error()) {
				t.Errorf("%v is not in the log", err)
			}
			s.do(once(id, 0)) // one that fails is over, too
			s.awaitSchedule(id, isNone)
		}
	}
}

func slowCallback(s *stateful) func(*testing.T, *stateful) {
	release := s.journal.Hold(s.t, "fire", "slow")
	s.do(every("slow", often))
	return func(t *testing.T, s *stateful) {
		s.journal.AwaitAbout(t, "fire", "slow", 1)
		s.do(every("quick", often))
		s.journal.AwaitAbout(t, "fire", "quick", 3)
		s.do(cancel("quick"))
		if fires := s.journal.About("fire", "slow"); len(fires) != 1 {
			t.Errorf("%d runs begin while the first goes on", len(fires))
		}
		release()
		missed := s.announced.await(t, subjects.EventScheduleMissed, "slow", 1)[0]
		if missed.Skipped < 1 || missed.Planned.IsZero() {
			t.Errorf("announced is %+v", missed.ScheduleEvent)
		}
		record := s.awaitSchedule("slow", func(r *subjects.ScheduleRecord) bool { return r.Missed > 0 })
		if record.Missed < missed.Skipped {
			t.Errorf("%d are counted, %d announced", record.Missed, missed.Skipped)
		}
		s.journal.AwaitAbout(t, "fire", "slow", 2)
		s.do(cancel("slow"))
	}
}

func testTimeNow(t *testing.T, s *stateful, zone string) {
	t.Helper()
	before := time.Now().UnixMilli()
	var text, name string
	var milli int64
	if _, err := fmt.Sscan(s.do(journal.Command{Do: "now"}).Text, &text, &milli, &name); err != nil {
		t.Fatal(err)
	}
	location, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || at.UnixMilli() != milli || milli < before || milli > time.Now().UnixMilli() || name != zone {
		t.Errorf("it is %s, %d, in %s: %v", text, milli, name, err)
	}
	if want := at.In(location).Format(time.RFC3339Nano); text != want {
		t.Errorf("it is %s, want %s", text, want)
	}
}
