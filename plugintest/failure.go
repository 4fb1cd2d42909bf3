package plugintest

import (
	"errors"
	"strings"

	"github.com/pluginhost/pluginhost/api"
	"github.com/pluginhost/pluginhost/api/schema"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/wasmrt"
)

// failure turns what a call of the guest ended with into what a caller on the bus gets.
func (h *Host) failure(m *schema.Method, err error) error {
	var (
		refusal *wasmrt.PluginError
		hostErr *wasmrt.HostError
		size    *wasmrt.ResultSizeError
	)
	switch {
	case errors.As(err, &refusal):
		return responseError(refusal.Text)
	case errors.Is(err, wasmrt.ErrOverloaded), errors.Is(err, wasmrt.ErrHostMemory):
		return subjects.Errorf(subjects.ErrOverloaded, "%w", err)
	case errors.Is(err, wasmrt.ErrClosed):
		return subjects.Errorf(subjects.ErrUnavailable, "the test is over")
	case errors.Is(err, wasmrt.ErrDeadline), errors.Is(err, wasmrt.ErrDeadlineInQueue):
		return subjects.Errorf(subjects.ErrDeadlineExceeded, "%w", err)
	case errors.As(err, &size):
		return subjects.Errorf(subjects.ErrTooLarge, "%w", err)
	case errors.As(err, &hostErr):
		return subjects.Errorf(subjects.ErrPlugin, "%w", err)
	default:
		h.log.printf("plugintest: %s crashed: %v", m.RPC, err)
		line, _, _ := strings.Cut(err.Error(), "\n")
		return subjects.Errorf(subjects.ErrCrashed, "%s", line)
	}
}

// responseError is the error with a text of the plugin's; two texts have a meaning of their
// own.
func responseError(text string) error {
	switch text {
	case api.ErrNotFound.Error():
		return withSentinel(&subjects.Error{Failure: subjects.ErrNotFound, Text: text})
	case api.ErrNotImplemented.Error():
		return withSentinel(&subjects.Error{Failure: subjects.ErrNotImplemented, Text: text})
	default:
		return &subjects.Error{Failure: subjects.ErrPlugin, Text: text}
	}
}

// standardError is a failure that is also one of the plugin contract's errors.
type standardError struct {
	failure  *subjects.Error
	sentinel error
}

func (e *standardError) Error() string { return e.failure.Error() }

func (e *standardError) Unwrap() []error { return []error{e.failure, e.sentinel} }

func withSentinel(failure *subjects.Error) error {
	if errors.Is(failure, subjects.ErrNotFound) {
		return &standardError{failure, api.ErrNotFound}
	}
	return &standardError{failure, api.ErrNotImplemented}
}
