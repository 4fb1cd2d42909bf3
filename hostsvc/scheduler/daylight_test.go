package scheduler_test

import (
	"testing"

	"github.com/pluginhost/pluginhost/hostsvc/scheduler"
)

// The zones differ in when their clocks are set, and by how much: at two in the morning, at
// midnight, and by half an hour.
func TestTimesWhereClocksAreSet(t *testing.T) {
	for name, test := range map[string]struct {
		zone, expression, after string
		want                    []string // the next times, in UTC
	}{
		"Berlin skips it":                    {"Europe/Berlin", "30 2 * * *", "2026-03-28T12:00:00Z", []string{"2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"}},
		"Berlin skips several":               {"Europe/Berlin", "*/20 2 * * *", "2026-03-28T12:00:00Z", []string{"2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z"}},
		"Berlin skips one, and goes on with": {"Europe/Berlin", "0 2,3 * * *", "2026-03-28T12:00:00Z", []string{"2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z"}},
		"Berlin shows it twice":              {"Europe/Berlin", "30 2 * * *", "2026-10-24T12:00:00Z", []string{"2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"}},
		"Berlin shows several twice":         {"Europe/Berlin", "30 1-3 * * *", "2026-10-24T22:00:00Z", []string{"2026-10-24T23:30:00Z", "2026-10-25T00:30:00Z", "2026-10-25T02:30:00Z"}},
		"Berlin shows it for the second time": {
			"Europe/Berlin", "30 2 * * *", "2026-10-25T01:10:00Z", []string{"2026-10-26T01:30:00Z"},
		},
		"every hour where Berlin skips one":        {"Europe/Berlin", "30 * * * *", "2026-03-29T00:00:00Z", []string{"2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z"}},
		"every hour where Berlin shows one twice":  {"Europe/Berlin", "@hourly", "2026-10-24T23:30:00Z", []string{"2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z"}},
		"every second hour, which Berlin skips":    {"Europe/Berlin", "0 */2 * * *", "2026-03-28T23:30:00Z", []string{"2026-03-29T02:00:00Z"}},
		"every second hour, which comes twice":     {"Europe/Berlin", "0 0/2 * * *", "2026-10-24T22:30:00Z", []string{"2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z", "2026-10-25T03:00:00Z"}},
		"a period where Berlin skips an hour":      {"Europe/Berlin", "@every 1h", "2026-03-29T00:30:00Z", []string{"2026-03-29T01:30:00Z"}},
		"Cairo skips midnight":                     {"Africa/Cairo", "0 0 * * *", "2026-04-23T12:00:00Z", []string{"2026-04-23T22:00:00Z", "2026-04-24T21:00:00Z"}},
		"Cairo shows it twice":                     {"Africa/Cairo", "30 23 * * *", "2026-10-29T12:00:00Z", []string{"2026-10-29T20:30:00Z", "2026-10-30T21:30:00Z"}},
		"Beirut skips midnight":                    {"Asia/Beirut", "@daily", "2026-03-28T12:00:00Z", []string{"2026-03-28T22:00:00Z", "2026-03-29T21:00:00Z"}},
		"Beirut shows it twice":                    {"Asia/Beirut", "15 23 * * *", "2026-10-24T12:00:00Z", []string{"2026-10-24T20:15:00Z", "2026-10-25T21:15:00Z"}},
		"Havana skips midnight":                    {"America/Havana", "0 0 * * SUN", "2026-03-07T12:00:00Z", []string{"2026-03-08T05:00:00Z", "2026-03-15T04:00:00Z"}},
		"Havana shows it twice":                    {"America/Havana", "30 0 * * *", "2026-10-31T12:00:00Z", []string{"2026-11-01T04:30:00Z", "2026-11-02T05:30:00Z"}},
		"Lord Howe skips it":                       {"Australia/Lord_Howe", "15 2 * * *", "2026-10-03T00:00:00Z", []string{"2026-10-03T15:30:00Z", "2026-10-04T15:15:00Z"}},
		"Lord Howe shows it twice":                 {"Australia/Lord_Howe", "45 1 * * *", "2026-04-04T00:00:00Z", []string{"2026-04-04T14:45:00Z", "2026-04-05T15:15:00Z"}},
		"every second hour on Lord Howe":           {"Australia/Lord_Howe", "0 */2 * * *", "2026-04-04T13:30:00Z", []string{"2026-04-04T15:30:00Z", "2026-04-04T17:30:00Z"}},
		"every half hour on Lord Howe":             {"Australia/Lord_Howe", "*/30 * * * *", "2026-04-04T14:30:00Z", []string{"2026-04-04T15:00:00Z", "2026-04-04T15:30:00Z"}},
		"Apia skips a day":                         {"Pacific/Apia", "0 12 * * *", "2011-12-29T12:00:00Z", []string{"2011-12-29T22:00:00Z", "2011-12-30T10:00:00Z", "2011-12-30T22:00:00Z"}},
		"a day of four years, over several clocks": {"Europe/Berlin", "0 * 29 2 *", "2026-03-28T12:00:00Z", []string{"2028-02-28T23:00:00Z"}},
	} {
		t.Run(name, func(t *testing.T) {
			timetable, err := scheduler.ParseTimetable(test.expression, test.zone)
			if err != nil {
				t.Fatal(err)
			}
			after := at(t, test.after)
			for _, want := range test.want {
				next := timetable.Next(after)
				if !next.Equal(at(t, want)) {
					t.Fatalf("after %v: %v (%v), want %s", after.UTC(), next.UTC(), next, want)
				}
				after = next
			}
		})
	}
}
