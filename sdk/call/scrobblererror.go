package call

import (
	"errors"
	"net/http"
	"strings"

	"github.com/pluginhost/pluginhost/subjects"
)

// What the failure of a Scrobbler means to a music server, in the terms of Navidrome.
var (
	// ErrNotAuthorized is that the plugin is not authorised for the user.
	ErrNotAuthorized = errors.New("not authorized")
	// ErrRetryLater is that it may do later.
	ErrRetryLater = errors.New("retry later")
	// ErrUnrecoverable is that it never will.
	ErrUnrecoverable = errors.New("unrecoverable")
)

// The texts by which plugins for Navidrome 0.60 and newer say what an error means; others use the texts of the errors.
const (
	newTextNotAuthorized = "scrobbler(not_authorized)"
	newTextRetryLater    = "scrobbler(retry_later)"
	newTextUnrecoverable = "scrobbler(unrecoverable)"
)

// TextOutcome is ErrRetryLater, ErrNotAuthorized or ErrUnrecoverable, the first of them in this order that the text of a
// Scrobbler's error has anywhere in it; nil if it has none.
func TextOutcome(text string) error {
	for _, meaning := range []struct {
		outcome error
		newText string
	}{
		{ErrRetryLater, newTextRetryLater},
		{ErrNotAuthorized, newTextNotAuthorized},
		{ErrUnrecoverable, newTextUnrecoverable},
	} {
		if strings.Contains(text, meaning.outcome.Error()) || strings.Contains(text, meaning.newText) {
			return meaning.outcome
		}
	}
	return nil
}

// Outcome is what the failure of a call of a Scrobbler means: ErrRetryLater where the plugin had no part in it (408, 429, 502 and
// 503; after 408 and 502 it may have run), TextOutcome of what the plugin said (500), and ErrUnrecoverable for all others, which
// come again whenever it is asked.
func Outcome(failure *subjects.Error) error {
	switch failure.Code() {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusRequestTimeout, http.StatusBadGateway:
		return ErrRetryLater
	case http.StatusInternalServerError:
		return TextOutcome(failure.Text)
	default:
		return ErrUnrecoverable
	}
}

// MatchOutcome lets errors.Is match an error also with an outcome; nil is none.
func MatchOutcome(err, outcome error) error {
	if err == nil || outcome == nil {
		return err
	}
	return &meant{err, outcome}
}

// meant is an error of which is known what it means.
type meant struct{ err, outcome error }

func (e *meant) Error() string { return e.err.Error() }

func (e *meant) Unwrap() []error { return []error{e.err, e.outcome} }
