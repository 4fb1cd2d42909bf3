package call_test

import (
	"errors"
	"testing"

	"github.com/pluginhost/pluginhost/sdk/call"
	"github.com/pluginhost/pluginhost/subjects"
)

func TestWhatTheFailureOfAScrobblerMeans(t *testing.T) {
	for name, c := range map[string]struct {
		failure *subjects.Error
		want    error
	}{
		"nothing ran: overloaded":   {subjects.Errorf(subjects.ErrOverloaded, "full"), call.ErrRetryLater},
		"nothing ran: unavailable":  {subjects.Errorf(subjects.ErrUnavailable, "unrecoverable, says the host"), call.ErrRetryLater},
		"it may have run: late":     {subjects.Errorf(subjects.ErrDeadlineExceeded, "late"), call.ErrRetryLater},
		"it may have run: a crash":  {subjects.Errorf(subjects.ErrCrashed, "panic: unrecoverable"), call.ErrRetryLater},
		"it would come again: 400":  {subjects.Errorf(subjects.ErrBadRequest, "no JSON"), call.ErrUnrecoverable},
		"it would come again: 404":  {call.PluginFailure("plugin:not_found"), call.ErrUnrecoverable},
		"it would come again: 413":  {subjects.Errorf(subjects.ErrTooLarge, "large"), call.ErrUnrecoverable},
		"it would come again: 501":  {call.PluginFailure("plugin:not_implemented"), call.ErrUnrecoverable},
		"the plugin says later":     {call.PluginFailure("HTTP 503: retry later"), call.ErrRetryLater},
		"the plugin says no":        {call.PluginFailure("not authorized for joe"), call.ErrNotAuthorized},
		"the plugin says never":     {call.PluginFailure("unrecoverable: bad track"), call.ErrUnrecoverable},
		"in newer words: later":     {call.PluginFailure("scrobbler(retry_later)"), call.ErrRetryLater},
		"in newer words: no":        {call.PluginFailure("x scrobbler(not_authorized) y"), call.ErrNotAuthorized},
		"in newer words: never":     {call.PluginFailure("scrobbler(unrecoverable)"), call.ErrUnrecoverable},
		"of two the one to retry":   {call.PluginFailure("unrecoverable, not authorized, retry later"), call.ErrRetryLater},
		"other case is other text":  {call.PluginFailure("Retry Later"), nil},
		"the plugin says its own":   {call.PluginFailure("database is locked"), nil},
		"a code that nobody knows":  {subjects.FromCode(599, "x"), nil},
		"an error without any text": {call.PluginFailure(""), nil},
	} {
		t.Run(name, func(t *testing.T) {
			got := call.Outcome(c.failure)
			if !errors.Is(got, c.want) {
				t.Fatalf("got %v, want %v", got, c.want)
			}
			err := call.MatchOutcome(c.failure, got)
			if !errors.Is(err, c.failure.Failure) || got != nil && !errors.Is(err, got) || err.Error() != c.failure.Error() {
				t.Errorf("got %v", err)
			}
		})
	}
	if err := call.MatchOutcome(nil, call.ErrRetryLater); err != nil {
		t.Errorf("no error became %v", err)
	}
}
