package scheduler

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/robfig/cron/v3"
)

const (
	// maxExpression is the longest cron expression, in bytes.
	maxExpression = 1024
	// maxSkipped is up to how many skipped times are counted.
	maxSkipped = 10_000
	// maxStep ends the search for a time in the past.
	maxStep = 20 * 365 * 24 * time.Hour
)

// Timetable says when a recurring schedule fires.
type Timetable struct {
	schedule cron.Schedule
	zone     *time.Location
	period   *time.Duration // of @every, as it is written
}

// ParseTimetable reads a cron expression: five fields, or six with seconds first,
// or @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly or
// @every with a Go duration, rounded to seconds. TZ=zone or CRON_TZ=zone may stand
// before it; zone is that of an expression without. Zones are IANA names. The
// error of an expression that does not parse is the reason.
//
// Where clocks are set, an expression that names hours has each of its times once a day: one
// that the clocks skip is when they go on after it, and one that they show twice is the first.
// With *, ? or a step for the hours it goes by what the clocks show, as often as they do.
func ParseTimetable(expression, zone string) (Timetable, error) {
	if len(expression) > maxExpression {
		return Timetable{}, fmt.Errorf("the expression has %d bytes, at most %d are taken", len(expression), maxExpression)
	}
	expression = strings.TrimSpace(expression)
	// The parser panics at a zone that nothing follows, and takes "Local".
	if named, rest, found := cutZone(expression); found {
		expression, zone = rest, named
	}
	location, err := LoadZone(zone)
	if err != nil {
		return Timetable{}, err
	}
	switch _, _, again := cutZone(expression); {
	case again:
		return Timetable{}, errors.New("more than one time zone")
	case expression == "":
		return Timetable{}, errors.New("empty spec string")
	}
	fields := cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor
	if count := len(strings.Fields(expression)); !strings.HasPrefix(expression, "@") {
		switch count {
		case 5:
		case 6:
			fields |= cron.Second
		default:
			return Timetable{}, fmt.Errorf("expected 5 or 6 fields, found %d: %q", count, expression)
		}
	}
	schedule, err := cron.NewParser(fields).Parse(expression)
	if err != nil {
		return Timetable{}, err
	}
	if fixed, ok := schedule.(*cron.SpecSchedule); ok {
		// A list of nothing, as in ",", is no field that matches, and would be looked
		// for second by second.
		for _, field := range []uint64{fixed.Second, fixed.Minute, fixed.Hour, fixed.Dom, fixed.Month, fixed.Dow} {
			if field == 0 {
				return Timetable{}, fmt.Errorf("%q has a field that names nothing", expression)
			}
		}
		fixed.Location = time.UTC
		schedule = daylight{spec: fixed, zone: location, fixesHour: fixesHour(expression)}
	}
	t := Timetable{schedule: schedule, zone: location, period: period(expression)}
	if t.Next(time.Now()).IsZero() {
		return Timetable{}, fmt.Errorf("%q names no time within the next five years", expression)
	}
	return t, nil
}

// period is that of @every; nil is that there is none.
func period(expression string) *time.Duration {
	if text, is := strings.CutPrefix(expression, "@every "); is {
		if d, err := time.ParseDuration(text); err == nil {
			return &d
		}
	}
	return nil
}

// check refuses a period that is none, and says whether it is shorter than the shortest, a
// second. What was set before this was refused runs every second.
func (t Timetable) check() (isShort bool, err error) {
	switch {
	case t.period == nil:
		return false, nil
	case *t.period <= 0:
		return false, fmt.Errorf("@every needs a period above 0, not %v", *t.period)
	default:
		return *t.period < time.Second, nil
	}
}

// cutZone takes the zone off the front of an expression.
func cutZone(expression string) (zone, rest string, found bool) {
	for _, prefix := range []string{"TZ=", "CRON_TZ="} {
		if after, is := strings.CutPrefix(expression, prefix); is {
			end := strings.IndexFunc(after, unicode.IsSpace)
			if end < 0 {
				end = len(after)
			}
			return after[:end], strings.TrimSpace(after[end:]), true
		}
	}
	return "", expression, false
}

// LoadZone returns the time zone of an IANA name.
func LoadZone(name string) (*time.Location, error) {
	if name == "" || name == "Local" {
		return nil, fmt.Errorf("time zone %q is not an IANA name such as Europe/Berlin or UTC", name)
	}
	location, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("time zone %.80q is not known: want an IANA name such as Europe/Berlin or UTC", name)
	}
	return location, nil
}

// Next is the first planned time after another; zero where there is none within
// five years.
func (t Timetable) Next(after time.Time) time.Time { return t.schedule.Next(after.In(t.zone)) }

// Latest is the last planned time after one and up to another, and how many others
// lie between, of which at most 10,000 are counted; zero where there is none.
func (t Timetable) Latest(after, until time.Time) (latest time.Time, skipped uint64) {
	next := t.Next(after)
	for !next.IsZero() && !next.After(until) {
		if skipped == maxSkipped {
			return t.nearest(latest, until), skipped
		}
		if !latest.IsZero() {
			skipped++
		}
		latest, next = next, t.Next(next)
	}
	return latest, skipped
}

// nearest is the last planned time up to until, looked for from there backwards in
// growing steps; from is one.
func (t Timetable) nearest(from, until time.Time) time.Time {
	for step := time.Second; until.Add(-step).After(from) && step < maxStep; step *= 2 {
		start := until.Add(-step)
		if next := t.Next(start); !next.IsZero() && !next.After(until) {
			latest := next
			for range maxSkipped {
				if next = t.Next(latest); next.IsZero() || next.After(until) {
					break
				}
				latest = next
			}
			return latest
		}
	}
	return from
}
