// Package pluginerror knows the errors that plugins return, which are texts: two of
// them mean something to a host.
package pluginerror

import (
	"errors"

	"github.com/pluginhost/pluginhost/api"
	"github.com/pluginhost/pluginhost/subjects"
)

// Of is the failure that a text of a plugin's stands for: subjects.ErrNotFound or
// ErrNotImplemented for exactly the texts of api.ErrNotFound and ErrNotImplemented,
// subjects.ErrPlugin for any other.
func Of(text string) *subjects.Error {
	failure := &subjects.Error{Failure: subjects.ErrPlugin, Text: text}
	switch text {
	case api.ErrNotFound.Error():
		failure.Failure = subjects.ErrNotFound
	case api.ErrNotImplemented.Error():
		failure.Failure = subjects.ErrNotImplemented
	}
	return failure
}

// Match lets errors.Is match a failure with api.ErrNotFound and ErrNotImplemented, too,
// where the plugin returned them.
func Match(failure *subjects.Error) error {
	switch {
	case errors.Is(failure, subjects.ErrNotFound):
		return &standard{failure, api.ErrNotFound}
	case errors.Is(failure, subjects.ErrNotImplemented):
		return &standard{failure, api.ErrNotImplemented}
	default:
		return failure
	}
}

// InResponse is the error that the error field of a response stands for, as Of and
// Match have it; nil where the field is empty.
func InResponse(text string) error {
	if text == "" {
		return nil
	}
	return Match(Of(text))
}

// standard is a failure that is also an error of package api.
type standard struct {
	failure  *subjects.Error
	sentinel error
}

func (e *standard) Error() string { return e.failure.Error() }

func (e *standard) Unwrap() []error { return []error{e.failure, e.sentinel} }
