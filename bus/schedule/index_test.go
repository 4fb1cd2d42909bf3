package schedule

import "testing"

func setAt(revision uint64) knownSchedule  { return knownSchedule{plugin: "p", revision: revision} }
func goneAt(revision uint64) knownSchedule { return knownSchedule{revision: revision} }

// The watch tells of what this replica has written later, or has told of what came after
// it already.
func TestScheduleIndexGoesByTheNewestThatIsKnown(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		happens func(x *scheduleIndex)
		want    int
	}{
		"set, and told":                    {func(x *scheduleIndex) { x.wrote("k", setAt(1)); x.tell("k", setAt(1)) }, 1},
		"set, not told yet":                {func(x *scheduleIndex) { x.wrote("k", setAt(1)) }, 1},
		"told to be gone, then set by us":  {func(x *scheduleIndex) { x.tell("k", setAt(1)); x.tell("k", goneAt(2)); x.wrote("k", setAt(1)) }, 0},
		"removed, then told to be there":   {func(x *scheduleIndex) { x.wrote("k", setAt(1)); x.removed("k", 1); x.tell("k", setAt(1)) }, 0},
		"removed, then told to be gone":    {func(x *scheduleIndex) { x.wrote("k", setAt(1)); x.removed("k", 1); x.tell("k", goneAt(2)) }, 0},
		"removed at what others have made": {func(x *scheduleIndex) { x.tell("k", setAt(4)); x.removed("k", 5) }, 0},
		"removed and set again": {func(x *scheduleIndex) {
			x.wrote("k", setAt(1))
			x.removed("k", 1)
			x.wrote("k", setAt(3))
			x.tell("k", goneAt(2))
		}, 1},
		"set again by others, then removed": {func(x *scheduleIndex) { x.tell("k", setAt(7)); x.removed("k", 5) }, 1},
		"set in the place of another":       {func(x *scheduleIndex) { x.tell("k", setAt(1)); x.wrote("k", setAt(2)) }, 1},
		"found to be gone":                  {func(x *scheduleIndex) { x.tell("k", setAt(1)); x.tell("k", goneAt(0)) }, 0},
		"found to be gone, and set since":   {func(x *scheduleIndex) { x.tell("k", setAt(1)); x.wrote("k", setAt(2)); x.tell("k", goneAt(0)) }, 1},
		"in a bucket made anew":             {func(x *scheduleIndex) { x.tell("k", setAt(1000)); x.reset(); x.wrote("k", setAt(1)) }, 1},
		"gone with its bucket":              {func(x *scheduleIndex) { x.wrote("k", setAt(1000)); x.reset() }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			x := newScheduleIndex()
			test.happens(x)
			is, count := x.counted("k", "p", "")
			if count != test.want || x.total("p") != test.want || is != (test.want > 0) || len(x.of("p")) != test.want {
				t.Errorf("there are %d (%d, %t, %v), want %d", count, x.total("p"), is, x.of("p"), test.want)
			}
		})
	}
}

func TestScheduleIndexKeepsNothingOfWhatIsGone(t *testing.T) {
	t.Parallel()
	x := newScheduleIndex()
	x.wrote("k", setAt(1))
	x.removed("k", 1)
	x.tell("k", goneAt(2))
	x.removed("k", 1) // the answer comes last
	if len(x.known) > 0 || len(x.counts) > 0 {
		t.Errorf("it keeps %v, %v", x.known, x.counts)
	}
}
