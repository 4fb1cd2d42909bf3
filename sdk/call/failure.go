package call

import (
	"errors"
	"strings"

	"github.com/pluginhost/pluginhost/subjects"
)

// FailureOf is the failure as which an error goes to a caller: the *subjects.Error that it
// wraps, or ErrPlugin.
func FailureOf(err error) *subjects.Error {
	var failure *subjects.Error
	if !errors.As(err, &failure) {
		failure = subjects.Errorf(subjects.ErrPlugin, "%w", err)
	}
	return failure
}

// What an error of a guest's call means is told by its methods, so that whatever runs guests,
// such as package wasmrt, need not know the codes.
type (
	// refusing is an error that the plugin itself has returned.
	refusing interface {
		error
		Refusal() (text string)
	}
	// overloaded is that there was no room for the call: nothing ran.
	overloaded interface {
		error
		Overloaded()
	}
	// unavailable is that the guest takes no more calls: nothing ran.
	unavailable interface {
		error
		Unavailable()
	}
	// late is that the time of the call was over.
	late interface {
		error
		DeadlineExceeded()
	}
	// tooLarge is that the response was too long.
	tooLarge interface {
		error
		TooLarge()
	}
	// hostFailed is that the host has failed in the midst of the call.
	hostFailed interface {
		error
		HostFailed()
	}
)

// GuestFailure is the failure that a call of a guest has ended with. An error that does not say
// what it means is ErrCrashed, with its first line: the rest is the guest's stack. The text of
// any other is that of the error, to which the caller may add what to do about it.
func GuestFailure(err error) *subjects.Error {
	var refusal refusing
	if errors.As(err, &refusal) {
		return PluginFailure(refusal.Refusal())
	}
	switch {
	case is[overloaded](err):
		return subjects.Errorf(subjects.ErrOverloaded, "%w", err)
	case is[unavailable](err):
		return subjects.Errorf(subjects.ErrUnavailable, "%w", err)
	case is[late](err):
		return subjects.Errorf(subjects.ErrDeadlineExceeded, "%w", err)
	case is[tooLarge](err):
		return subjects.Errorf(subjects.ErrTooLarge, "%w", err)
	case is[hostFailed](err):
		return subjects.Errorf(subjects.ErrPlugin, "%w", err)
	default:
		line, _, _ := strings.Cut(err.Error(), "\n")
		return subjects.Errorf(subjects.ErrCrashed, "%s", line)
	}
}

func is[E error](err error) bool {
	var target E
	return errors.As(err, &target)
}
