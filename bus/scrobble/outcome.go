package scrobble

import (
	"errors"
	"net/http"
	"strings"

	"github.com/pluginhost/pluginhost/sdk/call"
)

// Result is what a call of a plugin has ended with.
type Result struct {
	// Err is why there is no answer: nil is that there is one.
	Err error
	// Text is the error that the answer tells; empty is none.
	Text string
	// Authorized is the answer of is_authorized.
	Authorized bool
	// Upstream says that a request which the plugin made meanwhile got no answer, or one that says to try again.
	Upstream bool
	// Unanswered says that such a request may have been carried out though no answer came.
	Unanswered bool
}

// error is what went wrong, for people; empty is nothing.
func (r Result) error() string {
	if r.Err != nil {
		return r.Err.Error()
	}
	return r.Text
}

// outcome is what is done with a play after a call.
type outcome int

const (
	done          outcome = iota // the plugin took it
	retry                        // it is tried again
	failedUnknown                // it failed, and nobody knows how: it is tried again a few times
	crashed                      // it crashed or ended at its deadline, and may have been taken
	unauthorized                 // the plugin is not authorised for the user
	final                        // the plugin will never take it
)

// Words are texts of errors that mean something with one plugin, by the operator's word.
type Words struct {
	// Retry are tried again, Final never.
	Retry, Final []string
}

// outcomeOf says what is done with a play after a call of scrobble.
func outcomeOf(r Result, words Words) outcome {
	text := r.Text
	if r.Err != nil {
		failure := call.FailureOf(r.Err)
		switch means := call.Outcome(failure); {
		case failure.Code() == http.StatusInternalServerError:
			text = failure.Text
		case errors.Is(means, call.ErrRetryLater) && failure.NothingRan():
			return retry
		case errors.Is(means, call.ErrRetryLater):
			return crashed
		default:
			return final
		}
	}
	switch {
	case r.Err == nil && text == "":
		return done
	case hasAny(text, words.Retry):
		return retry
	case hasAny(text, words.Final):
		return final
	}
	switch means := call.TextOutcome(text); {
	case errors.Is(means, call.ErrRetryLater):
		return retry
	case errors.Is(means, call.ErrNotAuthorized):
		return unauthorized
	case errors.Is(means, call.ErrUnrecoverable):
		return final
	case r.Upstream:
		return retry
	default:
		return failedUnknown
	}
}

func hasAny(text string, of []string) bool {
	for _, one := range of {
		if one != "" && strings.Contains(text, one) {
			return true
		}
	}
	return false
}

// mayBeTaken says whether a play may have been taken though it is tried again.
func (o outcome) mayBeTaken(r Result) bool {
	return o == crashed || r.Unanswered && (o == retry || o == failedUnknown)
}
