package client

import (
	"context"
	"errors"

	"github.com/pluginhost/pluginhost/sdk/call"
	"github.com/pluginhost/pluginhost/subjects"
)

// What a Navidrome wants to know of a now-playing or a scrobble that failed: errors.Is matches the error of a [Scrobbler] with one
// of these at the most, beside that of package subjects, which says whether it may have run. With none of them the plugin
// has said something of its own: Navidrome 0.60 and newer takes that for ErrUnrecoverable, the durable queue tries it three times.
var (
	// ErrNotAuthorized is that the plugin is not authorised for the user, as it says.
	ErrNotAuthorized = call.ErrNotAuthorized
	// ErrRetryLater is that it may do later: the plugin says so, or could not be asked, or has crashed or not ended in time.
	ErrRetryLater = call.ErrRetryLater
	// ErrUnrecoverable is that the plugin will never take it, as it says, or cannot.
	ErrUnrecoverable = call.ErrUnrecoverable
)

// scrobbled lets an error of a call of a Scrobbler match what it means.
func scrobbled(err error) error {
	var failure *subjects.Error
	switch {
	case errors.As(err, &failure):
		return call.MatchOutcome(err, call.Outcome(failure))
	case errors.Is(err, context.Canceled): // whoever asks again gets an answer
		return call.MatchOutcome(err, ErrRetryLater)
	default:
		return err
	}
}

// submitted lets an error of Submit match what it means: what no plugin could take is refused for good, anything else does no
// harm when it is tried again.
func submitted(err error) error {
	if errors.Is(err, subjects.ErrBadRequest) || errors.Is(err, subjects.ErrTooLarge) {
		return call.MatchOutcome(err, ErrUnrecoverable)
	}
	return call.MatchOutcome(err, ErrRetryLater)
}
