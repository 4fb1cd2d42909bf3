package scheduler

import (
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// searchYears is for how many years the next time is looked for.
const searchYears = 5

// daylight is a schedule by the clocks of a zone, which are set forward and back. The parser's
// own search for the next time steps over what happens then, so it is given time on a clock
// that is never set.
type daylight struct {
	spec *cron.SpecSchedule // in UTC
	zone *time.Location
	// fixesHour says that the expression names hours: each of its times is one of a day.
	fixesHour bool
}

// Next implements cron.Schedule.
func (d daylight) Next(after time.Time) time.Time {
	after = after.In(d.zone)
	if d.fixesHour {
		return d.nextOfDay(after)
	}
	return d.nextInReality(after)
}

// nextOfDay looks for the next time that the clocks show. One that they skip is when they go on
// after it, and one that they show twice is when they show it first.
func (d daylight) nextOfDay(after time.Time) time.Time {
	for shown := clock(after); ; {
		if shown = d.spec.Next(shown); shown.IsZero() {
			return time.Time{}
		}
		if is := d.first(shown); is.After(after) {
			return is
		}
	}
}

// nextInReality looks for the next time that the clocks show, as often as they do.
func (d daylight) nextInReality(after time.Time) time.Time {
	limit := after.AddDate(searchYears, 0, 0)
	for from, search := after, clock(after); from.Before(limit); {
		shown := d.spec.Next(search)
		if shown.IsZero() {
			return shown
		}
		_, set := from.ZoneBounds()
		is := from.Add(shown.Sub(clock(from)))
		if set.IsZero() || is.Before(set) {
			return is
		}
		// They are set before it: the search goes on with what they show then.
		from, search = set, clock(set).Add(-time.Nanosecond)
	}
	return time.Time{}
}

// first is the first moment at which the clocks show a time, or the end of the gap that it is
// in.
func (d daylight) first(shown time.Time) time.Time {
	is := time.Date(shown.Year(), shown.Month(), shown.Day(), shown.Hour(), shown.Minute(), shown.Second(), 0, d.zone)
	for _, set := range sets(is) {
		_, before := set.Add(-time.Nanosecond).Zone()
		_, from := set.Zone()
		earlier, later := shown.Add(-time.Duration(before)*time.Second), shown.Add(-time.Duration(from)*time.Second)
		switch {
		case before < from && !earlier.Before(set) && later.Before(set): // skipped
			return set
		case before > from && earlier.Before(set) && !later.Before(set): // shown twice
			return earlier.In(d.zone)
		}
	}
	return is
}

// clock is what the clocks of a time's zone show, as a time in UTC.
func clock(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
}

// sets are when the clocks of a time's zone are set, before and after it.
func sets(t time.Time) (around []time.Time) {
	start, end := t.ZoneBounds()
	for _, set := range []time.Time{start, end} {
		if !set.IsZero() {
			around = append(around, set)
		}
	}
	return around
}

// fixesHour says whether an expression that parses names hours, in place of all of them or
// every so many.
func fixesHour(expression string) bool {
	fields := strings.Fields(expression)
	switch len(fields) {
	case 1:
		return expression != "@hourly"
	case 5:
		return !strings.ContainsAny(fields[1], "*?/")
	default:
		return !strings.ContainsAny(fields[2], "*?/")
	}
}
