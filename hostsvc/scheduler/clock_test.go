package scheduler_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/hostsvc/scheduler"
	api "github.com/pluginhost/pluginhost/sdk/api/host/scheduler"
)

// set keeps the schedule that was set last.
type set struct{ last scheduler.Schedule }

func (s *set) Set(_ context.Context, schedule scheduler.Schedule) error {
	s.last = schedule
	return nil
}

func (*set) Cancel(context.Context, string) (bool, error) { return false, nil }

func TestAPeriodHasToBeAboveNothing(t *testing.T) {
	for expression, test := range map[string]struct{ refused, warned bool }{
		"@every 0s":                {refused: true},
		"@every -1h":               {refused: true},
		"TZ=UTC @every 0s":         {refused: true},
		"@every 1ms":               {warned: true},
		"TZ=Asia/Tokyo @every 1ms": {warned: true},
		"@every 1s":                {},
		"@every 1h":                {},
		"@hourly":                  {},
	} {
		t.Run(expression, func(t *testing.T) {
			var log bytes.Buffer
			service, err := scheduler.New(scheduler.Config{Store: &set{}, Zone: "UTC", Logger: slog.New(slog.NewTextHandler(&log, nil))})
			if err != nil {
				t.Fatal(err)
			}
			_, err = service.ScheduleRecurring(t.Context(), &api.ScheduleRecurringRequest{CronExpression: expression})
			if (err != nil) != test.refused || err != nil && !strings.Contains(err.Error(), "a period above 0") {
				t.Errorf("got %v", err)
			}
			if warned := strings.Contains(log.String(), "it runs every second"); warned != test.warned {
				t.Errorf("the log is %q", log.String())
			}
		})
	}
}

func TestAnotherClockCanTellTheTime(t *testing.T) {
	store, now := &set{}, at(t, "2026-01-01T12:00:00Z")
	service, err := scheduler.New(scheduler.Config{Store: store, Zone: "Europe/Berlin", Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := service.ScheduleOneTime(t.Context(), &api.ScheduleOneTimeRequest{DelaySeconds: 60}); err != nil {
		t.Fatal(err)
	}
	if !store.last.Created.Equal(now) || !store.last.Due.Equal(now.Add(time.Minute)) {
		t.Errorf("one-time: got %+v", store.last)
	}
	if _, err := service.ScheduleRecurring(t.Context(), &api.ScheduleRecurringRequest{CronExpression: "@hourly"}); err != nil {
		t.Fatal(err)
	}
	if !store.last.Created.Equal(now) {
		t.Errorf("recurring: got %+v", store.last)
	}
	told, err := service.TimeNow(t.Context(), &api.TimeNowRequest{})
	if err != nil || told.Rfc3339Nano != "2026-01-01T13:00:00+01:00" || told.UnixMilli != now.UnixMilli() {
		t.Errorf("got %v, %v", told, err)
	}
}
