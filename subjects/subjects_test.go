package subjects_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/pluginhost/pluginhost/subjects"
)

func TestTokenIsReversibleAndPlain(t *testing.T) {
	for id, want := range map[string]string{
		"my-plugin_2":  "my-plugin_2",
		"MyPlugin":     "MyPlugin",
		"a.b":          "a=2Eb",
		"a b":          "a=20b",
		"":             "=",
		"=":            "=3D",
		"a\u200bb":     "a=E2=80=8Bb",
		"*":            "=2A",
		">":            "=3E",
		"\xff\x00\r\n": "=FF=00=0D=0A",
	} {
		got := subjects.Token(id)
		if got != want {
			t.Errorf("Token(%q) = %q, want %q", id, got, want)
		}
		if back, err := subjects.ParseToken(got); err != nil || back != id {
			t.Errorf("ParseToken(%q) = %q, %v, want %q", got, back, err, id)
		}
	}
}

func TestParseTokenRefusesWhatTokenNeverMakes(t *testing.T) {
	for _, token := range []string{"", "a.b", "=2", "=2e", "=41", "a=", "==", "ä", "=GG"} {
		if id, err := subjects.ParseToken(token); err == nil {
			t.Errorf("%q was accepted as %q", token, id)
		}
	}
}

func FuzzToken(f *testing.F) {
	for _, seed := range []string{"", "a.b", "=2E", "=", "a\u200bb", "=41"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		token := subjects.Token(s)
		if strings.ContainsAny(token, ".*> \t\r\n") || token == "" {
			t.Errorf("Token(%q) = %q is no token", s, token)
		}
		if back, err := subjects.ParseToken(token); err != nil || back != s {
			t.Errorf("ParseToken(%q) = %q, %v", token, back, err)
		}
		if id, err := subjects.ParseToken(s); err == nil && subjects.Token(id) != s {
			t.Errorf("%q parses as %q, which is written %q", s, id, subjects.Token(id))
		}
	})
}

func TestErrorsKeepTheirIdentityOverTheWire(t *testing.T) {
	for failure, code := range map[error]int{
		subjects.ErrBadRequest: 400, subjects.ErrNotFound: 404, subjects.ErrDeadlineExceeded: 408,
		subjects.ErrTooLarge: 413, subjects.ErrOverloaded: 429, subjects.ErrPlugin: 500,
		subjects.ErrNotImplemented: 501, subjects.ErrCrashed: 502, subjects.ErrUnavailable: 503,
	} {
		sent := subjects.Errorf(failure, "for %s", "a reason")
		received := subjects.FromCode(sent.Code(), sent.Text)
		if sent.Code() != code || !errors.Is(received, failure) || received.Text != "for a reason" {
			t.Errorf("%v went out as %d and came back as %v", failure, sent.Code(), received)
		}
	}
}

func TestDeadlineExceededIsTheContextsToo(t *testing.T) {
	if !errors.Is(subjects.FromCode(408, ""), context.DeadlineExceeded) {
		t.Error("408 is no context.DeadlineExceeded")
	}
	if errors.Is(subjects.FromCode(500, ""), context.DeadlineExceeded) {
		t.Error("500 is a context.DeadlineExceeded")
	}
}

func TestWithoutUserLeavesNoSecret(t *testing.T) {
	for urls, want := range map[string]string{
		"nats://h:1":                       "nats://h:1",
		"nats://token@h:1":                 "nats://h:1",
		"nats://joe:s3@cret@h:1":           "nats://h:1",
		"joe:s3cret@h:1":                   "h:1",
		"nats://a:b@h:1,tls://c@i:2,j:3":   "nats://h:1,tls://i:2,j:3",
		"nats://joe:p://q@h:1,nats://k@h2": "nats://h:1,nats://h2",
	} {
		if got := subjects.WithoutUser(urls); got != want {
			t.Errorf("%q is told as %q, want %q", urls, got, want)
		}
	}
}

func TestSubjectsOfEventsAreReversible(t *testing.T) {
	for _, id := range []string{"webhook", "a.b", "", "é >"} {
		kind, back, err := subjects.ParseEvent(subjects.Event(subjects.EventLoaded, id))
		if err != nil || kind != subjects.EventLoaded || back != id {
			t.Errorf("%q came back as %q of %q, %v", id, back, kind, err)
		}
	}
	for _, subject := range []string{"", "pluginhost.event", "pluginhost.event.", "pluginhost.event.loaded", "pluginhost.event..a", "pluginhost.event.loaded.a.b",
		"pluginhost.event.loaded.", "other.event.loaded.a"} {
		if kind, id, err := subjects.ParseEvent(subject); err == nil {
			t.Errorf("%q was read as %q of %q", subject, kind, id)
		}
	}
}
