package subjects

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// The failures of a call. An *Error matches one of them by its code.
var (
	// ErrBadRequest (400): JSON that does not decode, an unknown method, a bad
	// header. Sending it again is no use.
	ErrBadRequest = errors.New("bad_request")
	// ErrNotFound (404): the plugin looked and found nothing.
	ErrNotFound = errors.New("plugin:not_found")
	// ErrDeadlineExceeded (408): the guest was stopped at its deadline, or the
	// deadline passed in the queue. It may have run.
	ErrDeadlineExceeded = errors.New("deadline_exceeded")
	// ErrTooLarge (413): a request or reply over the server's max_payload. For a
	// reply, the call has run.
	ErrTooLarge = errors.New("too_large")
	// ErrOverloaded (429): refused by admission; nothing ran.
	ErrOverloaded = errors.New("overloaded")
	// ErrPlugin (500): the plugin returned an error of its own. The call has
	// run.
	ErrPlugin = errors.New("plugin_error")
	// ErrNotImplemented (501): the plugin does not offer the method.
	ErrNotImplemented = errors.New("plugin:not_implemented")
	// ErrCrashed (502): the guest trapped, exited or broke the binary interface.
	// It may have run.
	ErrCrashed = errors.New("plugin_crashed")
	// ErrUnavailable (503): not loaded, initialising or draining; nothing ran.
	ErrUnavailable = errors.New("unavailable")
)

var codes = map[int]error{
	http.StatusBadRequest:            ErrBadRequest,
	http.StatusNotFound:              ErrNotFound,
	http.StatusRequestTimeout:        ErrDeadlineExceeded,
	http.StatusRequestEntityTooLarge: ErrTooLarge,
	http.StatusTooManyRequests:       ErrOverloaded,
	http.StatusInternalServerError:   ErrPlugin,
	http.StatusNotImplemented:        ErrNotImplemented,
	http.StatusBadGateway:            ErrCrashed,
	http.StatusServiceUnavailable:    ErrUnavailable,
}

// Code returns the code of one of the failures above, or 500.
func Code(failure error) int {
	for code, sentinel := range codes {
		if errors.Is(failure, sentinel) {
			return code
		}
	}
	return http.StatusInternalServerError
}

// Error is a failed call, as it goes over the wire.
type Error struct {
	// Failure is one of the failures above.
	Failure error
	// Text says what happened; for ErrPlugin, ErrNotFound and
	// ErrNotImplemented it is what the plugin said.
	Text string
	// RetryAfter, with ErrOverloaded, is how long to wait; may be 0.
	RetryAfter time.Duration
}

// Errorf returns an Error with a text of our own. A %w is wrapped for its text
// only.
func Errorf(failure error, format string, args ...any) *Error {
	return &Error{Failure: failure, Text: fmt.Errorf(format, args...).Error()}
}

// FromCode returns the Error that a reply with these headers stands for. An
// unknown code is ErrPlugin.
func FromCode(code int, text string) *Error {
	failure, ok := codes[code]
	if !ok {
		failure = ErrPlugin
	}
	return &Error{Failure: failure, Text: text}
}

// Error returns the code, the name and, where it says more, the text.
func (e *Error) Error() string {
	if e.Text == "" || e.Text == e.Failure.Error() {
		return fmt.Sprintf("%d %v", e.Code(), e.Failure)
	}
	return fmt.Sprintf("%d %v: %s", e.Code(), e.Failure, e.Text)
}

// Code is the code on the wire.
func (e *Error) Code() int { return Code(e.Failure) }

// Unwrap lets errors.Is find the failure.
func (e *Error) Unwrap() error { return e.Failure }

// Is also matches context.DeadlineExceeded, where it applies.
func (e *Error) Is(target error) bool {
	return target == context.DeadlineExceeded && e.Failure == ErrDeadlineExceeded
}

// NothingRan says that the call never reached the plugin, so that sending it
// again cannot run it twice.
func (e *Error) NothingRan() bool {
	return errors.Is(e.Failure, ErrOverloaded) || errors.Is(e.Failure, ErrUnavailable)
}
