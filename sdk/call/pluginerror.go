package call

import (
	"errors"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/subjects"
)

// PluginFailure is the failure that the text of a plugin's error stands for: subjects.ErrNotFound or
// ErrNotImplemented for exactly the texts of api.ErrNotFound and ErrNotImplemented,
// subjects.ErrPlugin for any other.
func PluginFailure(text string) *subjects.Error {
	failure := &subjects.Error{Failure: subjects.ErrPlugin, Text: text}
	switch text {
	case api.ErrNotFound.Error():
		failure.Failure = subjects.ErrNotFound
	case api.ErrNotImplemented.Error():
		failure.Failure = subjects.ErrNotImplemented
	}
	return failure
}

// MatchAPI lets errors.Is match a failure with api.ErrNotFound and ErrNotImplemented, too,
// if the plugin returned them.
func MatchAPI(failure *subjects.Error) error {
	switch {
	case errors.Is(failure, subjects.ErrNotFound):
		return &standard{failure, api.ErrNotFound}
	case errors.Is(failure, subjects.ErrNotImplemented):
		return &standard{failure, api.ErrNotImplemented}
	default:
		return failure
	}
}

// ResponseError is the error that the error field of a response stands for, as PluginFailure and
// MatchAPI have it; nil if the field is empty.
func ResponseError(text string) error {
	if text == "" {
		return nil
	}
	return MatchAPI(PluginFailure(text))
}

// standard is a failure that is also an error of package api.
type standard struct {
	failure  *subjects.Error
	sentinel error
}

func (e *standard) Error() string { return e.failure.Error() }

func (e *standard) Unwrap() []error { return []error{e.failure, e.sentinel} }
