package call

import (
	"time"

	"github.com/pluginhost/pluginhost/subjects"
)

// Request is a call as its caller asks for it.
type Request struct {
	// Method is the name on the bus, such as get_artist_biography.
	Method string
	// Body is the request message.
	Body []byte
	// Callback has the method looked for among the callbacks; JSON tells that the body is
	// JSON, and that the response is to be.
	Callback, JSON bool
	// Header are the headers that the call came with, if it came with any: Timeout, Via and
	// Trace are read from them when the call is served.
	Header map[string][]string
	// Timeout is how long the caller waits.
	Timeout Timeout
	// Via are the ids of the plugins that wait for the call, the outermost first.
	Via []string
	// Trace is the trace that the call belongs to, as W3C's traceparent has it. Only the
	// Observer is told.
	Trace string
	// Fault is what else is wrong with how the call was asked for; nil is nothing. The call of a method that exists fails with it, and is counted as
	// one of that method.
	Fault error
}

// Timeout is how long a call may take. The zero value leaves that to the Server.
type Timeout struct {
	limit time.Duration
	given bool
}

// Within is the Timeout of a caller who waits for so long; one of 0 or less is over at once.
func Within(limit time.Duration) Timeout { return Timeout{limit: limit, given: true} }

// ParseTimeout reads the value of subjects.HeaderTimeout; empty is the zero value. What is no
// Go duration is ErrBadRequest.
func ParseTimeout(text string) (Timeout, error) {
	if text == "" {
		return Timeout{}, nil
	}
	limit, err := time.ParseDuration(text)
	if err != nil {
		return Timeout{}, subjects.Errorf(subjects.ErrBadRequest, "header %s is %.40q: want a Go duration such as 1.5s", subjects.HeaderTimeout, text)
	}
	return Within(limit), nil
}

// Limits bound the calls of a Server.
type Limits struct {
	// MaxInFlight is how many calls may be here at once, running or waiting; more are
	// refused with subjects.ErrOverloaded. 0 is no bound.
	MaxInFlight int
	// Timeout is how long a call may take that does not say so itself; MaxTimeout is the
	// longest that one which does may take.
	Timeout, MaxTimeout time.Duration
}

// bound is how long a call may take.
func (l Limits) bound(t Timeout) time.Duration {
	if !t.given {
		return l.Timeout
	}
	return min(t.limit, l.MaxTimeout)
}
