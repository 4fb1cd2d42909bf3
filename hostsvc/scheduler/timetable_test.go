package scheduler_test

import (
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the same zones on every machine

	"github.com/pluginhost/pluginhost/hostsvc/scheduler"
)

func at(t *testing.T, text string) time.Time {
	t.Helper()
	moment, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return moment
}

func TestTimetablesNameTheirTimes(t *testing.T) {
	const after = "2026-03-28T11:59:30Z" // the night after it, Berlin loses an hour
	tests := []struct{ expression, zone, want string }{
		{"* * * * *", "UTC", "2026-03-28T12:00:00Z"},
		{"0 5 * * *", "UTC", "2026-03-29T05:00:00Z"},
		{"*/15 30 11 * * *", "UTC", "2026-03-29T11:30:00Z"},
		{"15 * * * * *", "UTC", "2026-03-28T12:00:15Z"},
		{"0 5 * * *", "America/New_York", "2026-03-29T09:00:00Z"},
		{"TZ=America/New_York 0 5 * * *", "UTC", "2026-03-29T09:00:00Z"},
		{"CRON_TZ=Asia/Tokyo 0 5 * * *", "UTC", "2026-03-28T20:00:00Z"},
		{"TZ=Asia/Tokyo\t0 5 * * *", "UTC", "2026-03-28T20:00:00Z"},
		{"TZ=Asia/Tokyo @daily", "UTC", "2026-03-28T15:00:00Z"},
		{"0 5 * * *", "Europe/Berlin", "2026-03-29T03:00:00Z"},
		{"@hourly", "UTC", "2026-03-28T12:00:00Z"},
		{"@daily", "UTC", "2026-03-29T00:00:00Z"},
		{"@weekly", "UTC", "2026-03-29T00:00:00Z"},
		{"@monthly", "UTC", "2026-04-01T00:00:00Z"},
		{"@annually", "UTC", "2027-01-01T00:00:00Z"},
		{"@every 90s", "UTC", "2026-03-28T12:01:00Z"},
		{"@every 1ms", "UTC", "2026-03-28T11:59:31Z"},
		{"@every -1h", "UTC", "2026-03-28T11:59:31Z"},
		{"  0 12 * * *  ", "UTC", "2026-03-28T12:00:00Z"},
		{"0 0 29 2 *", "UTC", "2028-02-29T00:00:00Z"},
		{"0 12 * * MON", "UTC", "2026-03-30T12:00:00Z"},
	}
	for _, test := range tests {
		timetable, err := scheduler.ParseTimetable(test.expression, test.zone)
		if err != nil {
			t.Errorf("%q: %v", test.expression, err)
			continue
		}
		if next := timetable.Next(at(t, after)); !next.Equal(at(t, test.want)) {
			t.Errorf("%q in %s: next is %v, want %s", test.expression, test.zone, next.UTC(), test.want)
		}
	}
}

func TestWhatIsNoTimetableIsRefusedWithTheReason(t *testing.T) {
	tests := []struct{ expression, zone, reason string }{
		{"", "UTC", "empty spec string"},
		{"   ", "UTC", "empty spec string"},
		{"* * * *", "UTC", "expected 5 or 6 fields, found 4"},
		{"* * * * * * *", "UTC", "expected 5 or 6 fields, found 7"},
		{"60 * * * *", "UTC", "above maximum"},
		{"x * * * *", "UTC", "failed to parse"},
		{"@sometimes", "UTC", "unrecognized descriptor"},
		{"@every", "UTC", "unrecognized descriptor"},
		{"@every soon", "UTC", "failed to parse duration"},
		{"TZ=UTC", "UTC", "empty spec string"},
		{"TZ=", "UTC", "time zone"},
		{"TZ= * * * * *", "UTC", "time zone"},
		{"CRON_TZ=Local * * * * *", "UTC", "time zone"},
		{"TZ=Mars/Olympus * * * * *", "UTC", "time zone"},
		{"TZ=../../etc/passwd * * * * *", "UTC", "time zone"},
		{"TZ=UTC TZ=UTC", "UTC", "more than one time zone"},
		{"* * * * *", "Local", "time zone"},
		{"* * * * *", "", "time zone"},
		{"0 0 31 2 *", "UTC", "names no time"},
		{", * * * * *", "UTC", "names nothing"},
		{"* * * , *", "UTC", "names nothing"},
		{strings.Repeat("*", 2000), "UTC", "2000 bytes"},
	}
	for _, test := range tests {
		if _, err := scheduler.ParseTimetable(test.expression, test.zone); err == nil || !strings.Contains(err.Error(), test.reason) {
			t.Errorf("%q in %q: %v, want %q", test.expression, test.zone, err, test.reason)
		}
	}
}

func TestMissedTimesAreOneFireAndCounted(t *testing.T) {
	tests := []struct {
		expression, after, until, latest string
		skipped                          uint64
	}{
		{"@hourly", "2026-01-01T00:00:00Z", "2026-01-01T00:59:59Z", "", 0},
		{"@hourly", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z", "2026-01-01T01:00:00Z", 0},
		{"@hourly", "2026-01-01T00:00:00Z", "2026-01-01T05:30:00Z", "2026-01-01T05:00:00Z", 4},
		{"* * * * * *", "2016-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", 10_000},
		{"* * * * *", "2016-01-01T00:00:00Z", "2026-01-01T00:00:59Z", "2026-01-01T00:00:00Z", 10_000},
		{"@every 1s", "2016-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", 10_000},
		// Every minute of one day of the year, last on the first of June.
		{"* * 1 6 *", "1926-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "2025-06-01T23:59:00Z", 10_000},
	}
	for _, test := range tests {
		timetable, err := scheduler.ParseTimetable(test.expression, "UTC")
		if err != nil {
			t.Fatal(err)
		}
		latest, skipped := timetable.Latest(at(t, test.after), at(t, test.until))
		var want time.Time
		if test.latest != "" {
			want = at(t, test.latest)
		}
		if !latest.Equal(want) || skipped != test.skipped {
			t.Errorf("%q from %s to %s: %v after %d skipped, want %s after %d", test.expression, test.after, test.until, latest, skipped, test.latest, test.skipped)
		}
	}
}

func FuzzParseTimetable(f *testing.F) {
	for _, expression := range []string{
		"* * * * *", "0 0-5/2,7 1 JAN-MAR ?", "*/10 * * * * *", "@every 1h2m3s", "@daily", "TZ=UTC @hourly", "CRON_TZ=", "TZ= ",
		"TZ=UTC", "@", "@every 9223372036854775807ns", "0/18446744073709551615 * * * *", "59/9223372036854775807 * * * *", "0 0 30 2 *", "\xff\x00", ", * * * * *",
	} {
		f.Add(expression, "UTC")
	}
	f.Add("* * * * *", "Europe/Berlin")
	f.Add("30 2 * * *", "Europe/Berlin")
	f.Add("*/7 */2 * * *", "Australia/Lord_Howe")
	f.Fuzz(func(t *testing.T, expression, zone string) {
		timetable, err := scheduler.ParseTimetable(expression, zone)
		if err != nil {
			return
		}
		now := time.Date(2026, 3, 29, 1, 30, 0, 0, time.UTC)
		next := timetable.Next(now)
		if !next.IsZero() && !next.After(now) {
			t.Errorf("%q: %v follows %v", expression, next, now)
		}
		if latest, _ := timetable.Latest(now.AddDate(-1, 0, 0), now); latest.After(now) {
			t.Errorf("%q: the latest until %v is %v", expression, now, latest)
		}
	})
}
