package plugintest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/plugintest"
	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv/guests"
)

func advance(t testing.TB, host *plugintest.Host, by time.Duration) {
	t.Helper()
	if err := host.Advance(t.Context(), by); err != nil {
		t.Fatal(err)
	}
}

func TestTheClockBeginsAtNoonAndStandsStill(t *testing.T) {
	t.Parallel()
	s := newStateful(t)
	if now := s.Now().Format(time.RFC1123); now != "Thu, 01 Jan 2026 12:00:00 UTC" {
		t.Errorf("it begins at %s", now)
	}
	if r := s.do(t, command{Do: "now"}); r.Text != "2026-01-01T12:00:00Z 1767268800000 UTC" {
		t.Errorf("the plugin is told %s", r.Text)
	}
	advance(t, s.Host, 90*time.Second)
	if r := s.do(t, command{Do: "now"}); r.Text != "2026-01-01T12:01:30Z 1767268890000 UTC" {
		t.Errorf("after 90 seconds the plugin is told %s", r.Text)
	}
	if err := s.Advance(t.Context(), -time.Second); err == nil {
		t.Error("the clock goes back")
	}
}

func TestSchedulesRunInTheOrderOfTheirTimes(t *testing.T) {
	t.Parallel()
	s := newStateful(t)
	s.do(t, command{Do: "once", ID: []byte("late"), Delay: 2000, Payload: []byte("p")})
	s.do(t, command{Do: "every", ID: []byte("quarter"), Expression: "*/15 * * * *"})
	s.do(t, command{Do: "once", ID: []byte("soon"), Delay: 60})
	s.do(t, command{Do: "once", ID: []byte("at once")})
	s.do(t, command{Do: "once", ID: []byte("with quarter"), Delay: 900})
	s.wantEvents(t)
	advance(t, s.Host, 0)
	s.wantEvents(t, "fire at once 12:00:00")
	advance(t, s.Host, 59*time.Second)
	advance(t, s.Host, time.Hour)
	s.wantEvents(t, "fire at once 12:00:00", "fire soon 12:01:00", "fire quarter 12:15:00", "fire with quarter 12:15:00",
		"fire quarter 12:30:00", "fire late p 12:33:20", "fire quarter 12:45:00", "fire quarter 13:00:00")
}

func TestASchedulePlannedByACallbackRunsInItsTurn(t *testing.T) {
	t.Parallel()
	s := newStateful(t)
	s.answers["fire"] = []command{{Do: "once", ID: []byte("next"), Delay: 600}}
	s.do(t, command{Do: "once", ID: []byte("first"), Delay: 600})
	advance(t, s.Host, 30*time.Minute)
	s.wantEvents(t, "fire first 12:10:00", "done first", "fire next 12:20:00", "done next", "fire next 12:30:00", "done next")
}

func TestReplacedAndCancelledSchedulesDoNotRun(t *testing.T) {
	t.Parallel()
	s := newStateful(t)
	s.do(t, command{Do: "once", ID: []byte("a"), Delay: 60})
	s.do(t, command{Do: "once", ID: []byte("b"), Delay: 60})
	s.do(t, command{Do: "every", ID: []byte("a"), Expression: "@hourly"})
	s.do(t, command{Do: "cancel", ID: []byte("b")})
	if r := do(t, s.Host, command{Do: "cancel", ID: []byte("b")}); r.Error != "schedule not found" {
		t.Errorf("to cancel it again: %+v", r)
	}
	advance(t, s.Host, time.Hour)
	s.wantEvents(t, "fire a 13:00:00")
}

func TestSchedulesAreListed(t *testing.T) {
	t.Parallel()
	s := newStateful(t)
	s.do(t, command{Do: "every", ID: []byte("daily"), Expression: "TZ=Europe/Berlin 30 6 * * *", Payload: []byte("d")})
	s.do(t, command{Do: "once", ID: []byte("soon"), Delay: 60, Payload: []byte("s")})
	advance(t, s.Host, 30*time.Second)
	got := fmt.Sprintf("%+v", s.Schedules())
	want := fmt.Sprintf("%+v", []plugintest.Schedule{
		{ID: "soon", Next: time.Date(2026, 1, 1, 12, 1, 0, 0, time.UTC), Payload: []byte("s")},
		{ID: "daily", Recurring: true, Expression: "TZ=Europe/Berlin 30 6 * * *", Next: time.Date(2026, 1, 2, 5, 30, 0, 0, time.UTC), Payload: []byte("d")},
	})
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	advance(t, s.Host, time.Minute)
	if left := s.Schedules(); len(left) != 1 || left[0].ID != "daily" {
		t.Errorf("left are %+v", left)
	}
}

func TestWhatIsNoScheduleIsRefused(t *testing.T) {
	t.Parallel()
	s := newStateful(t)
	if r := do(t, s.Host, command{Do: "every", ID: []byte("a"), Expression: "* * * *"}); !strings.Contains(r.Error, "failed to schedule recurring job: ") {
		t.Errorf("got %+v", r)
	}
	if len(s.Schedules()) != 0 {
		t.Errorf("planned are %+v", s.Schedules())
	}
}

func TestErrorsOfCallbacksAreReturnedAndTheOthersRun(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		fail func(*stateful)
	}{
		{"an error", func(s *stateful) { s.refuse["fire"] = "no luck" }},
		{"an error in the response", func(s *stateful) { s.answers["fire"] = []command{{Do: "cancel", ID: []byte("no luck")}} }},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newStateful(t)
			test.fail(s)
			s.do(t, command{Do: "once", ID: []byte("a"), Delay: 60})
			s.do(t, command{Do: "once", ID: []byte("b"), Delay: 120})
			err := s.Advance(t.Context(), time.Hour)
			if !errors.Is(err, subjects.ErrPlugin) || !strings.Contains(err.Error(), `schedule "a" at 2026-01-01T12:01:00Z: 500 plugin_error`) || !strings.Contains(err.Error(), `"b"`) {
				t.Errorf("got %v", err)
			}
			if now := s.Now().Format("15:04"); now != "13:00" {
				t.Errorf("it is %s", now)
			}
		})
	}
}

func TestAPlanWithoutEndEndsAndAFewErrorsAreReturned(t *testing.T) {
	t.Parallel()
	s := newStateful(t)
	s.SetMaxCallbacks(20)
	s.answers["fire"] = []command{{Do: "once", ID: []byte("for ever")}, {Do: "nonsense"}}
	s.do(t, command{Do: "once", ID: []byte("for ever")})
	err := s.Advance(t.Context(), time.Hour)
	if err == nil || !strings.Contains(err.Error(), "20 callbacks have run and more are due") || strings.Count(err.Error(), "unknown command nonsense") != 10 {
		t.Errorf("got %v", err)
	}
}

func TestAnAdvanceEndsWithItsContext(t *testing.T) {
	t.Parallel()
	s := newStateful(t)
	ctx, cancel := context.WithCancel(t.Context())
	s.answers["fire"] = []command{{Do: "once", ID: []byte("for ever")}}
	s.do(t, command{Do: "once", ID: []byte("for ever")})
	s.do(t, command{Do: "every", ID: []byte("later"), Expression: "@hourly"})
	go func() {
		for len(s.Requests()) < 20 && t.Context().Err() == nil {
			s.do(t, command{Do: "now"})
		}
		cancel()
	}()
	if err := s.Advance(ctx, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestADueScheduleNeedsTheCapability(t *testing.T) {
	t.Parallel()
	host := guest(t, guests.Stateful, map[string]any{
		"http": map[string]any{"reason": "r", "allowedUrls": map[string]any{"https://journal.example.com": []string{"*"}}}, "config": reason, "scheduler": reason,
		"websocket": map[string]any{"reason": "r", "allowedUrls": []string{"wss://example.com"}},
	}, plugin.MetadataAgent)
	do(t, host, command{Do: "once", ID: []byte("a")})
	if err := host.Advance(t.Context(), 0); !errors.Is(err, api.ErrNotImplemented) || !strings.Contains(err.Error(), "SchedulerCallback, which is not in the manifest") {
		t.Errorf("got %v", err)
	}
}

func TestTickerPostsItsSummaries(t *testing.T) {
	t.Parallel()
	host := example(t, "ticker")
	posted := webhook(t, host)
	host.SetConfig("symbols", "ABC")
	host.SetConfig("webhook", "https://hooks.example.com/x")
	host.SetConfig("summary", "0 18 * * *")
	feed := host.WebSocket("wss://feed.example.com/prices")
	if err := host.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	conn := feed.Connection(t.Context())
	for _, price := range []int{100, 101} {
		if err := conn.SendText(t.Context(), fmt.Sprintf(`{"type":"price","symbol":"ABC","price":%d}`, price)); err != nil {
			t.Fatal(err)
		}
	}
	advance(t, host, 48*time.Hour)
	posted.want(t, `{"event":"move","symbol":"ABC","from":100,"to":101}`,
		`{"event":"summary","prices":{"ABC":101}}`, `{"event":"summary","prices":{"ABC":101}}`)
}

func TestTickerTriesAgainAfterALongerAndLongerTime(t *testing.T) {
	t.Parallel()
	host := example(t, "ticker")
	host.SetConfig("symbols", "ABC")
	host.SetConfig("webhook", "https://hooks.example.com/x")
	feed := host.WebSocket("wss://feed.example.com/prices")
	feed.Refuse(503)
	if err := host.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, seconds := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
		if next := host.Schedules()[0].Next.Sub(host.Now()); next != seconds*time.Second {
			t.Errorf("the next attempt is in %v, want %d s", next, seconds)
		}
		advance(t, host, seconds*time.Second)
	}
	feed.Refuse(0)
	advance(t, host, time.Minute)
	if message := feed.Connection(t.Context()).Await(t.Context()); message.Text() != `{"type":"subscribe","symbols":["ABC"]}` {
		t.Errorf("it sends %s", message.Text())
	}
	if !strings.Contains(host.Output(), "the server answered 503") {
		t.Errorf("the output is %s", host.Output())
	}
}
