package wasmrt

import (
	"fmt"

	"github.com/pluginhost/pluginhost/sdk/hold"
)

// What an error means to a caller is told by its method Refusal, Overloaded, Unavailable,
// DeadlineExceeded, TooLarge or HostFailed; what has none of them is a crash.
var (
	// ErrOverloaded says that too many calls were waiting: nothing ran.
	ErrOverloaded error = overloadedError("too many calls are waiting for an instance")
	// ErrHostMemory says that the guests of the Runtime use all the memory they
	// may have together: nothing ran.
	ErrHostMemory error = overloadedError("the guests of this replica use all the memory they may have together ([Runtime] HostMemory)")
	// ErrPluginMemory is an ErrHostMemory of a plugin that has the share of one plugin
	// already, however much there is for others: nothing ran.
	ErrPluginMemory error = pluginMemoryError{}
	// ErrRefusedMemory says that a guest, or the host for it, wanted more memory in the
	// midst of a call than there was.
	ErrRefusedMemory = hold.ErrRefused
	// ErrClosed says that the module takes no more calls: nothing ran.
	ErrClosed error = closedError("module is closed")
	// ErrDeadlineInQueue says that the caller's time was over before a guest
	// could run: nothing ran.
	ErrDeadlineInQueue error = lateError("the deadline passed while the call was waiting for an instance")
	// ErrDeadline says that the guest was stopped because the caller's time was
	// over.
	ErrDeadline error = lateError("the guest was stopped at the call's deadline")
)

type overloadedError string

func (e overloadedError) Error() string { return string(e) }

// Overloaded says that there was no room for the call.
func (overloadedError) Overloaded() {}

type closedError string

func (e closedError) Error() string { return string(e) }

// Unavailable says that no more calls are taken.
func (closedError) Unavailable() {}

type lateError string

func (e lateError) Error() string { return string(e) }

// DeadlineExceeded says that the time of the call was over.
func (lateError) DeadlineExceeded() {}

type pluginMemoryError struct{}

func (pluginMemoryError) Error() string {
	return "the plugin uses half of the memory that the guests of this replica may have together ([Runtime] HostMemory), and one plugin may have no more"
}

// Is makes it an ErrHostMemory, too.
func (pluginMemoryError) Is(target error) bool { return target == ErrHostMemory }

// Overloaded says that there was no room for the call.
func (pluginMemoryError) Overloaded() {}

// refusedMemory is ErrRefusedMemory with the reason. It is no ErrHostMemory, after which
// nothing ran.
func refusedMemory(reason error) error { return fmt.Errorf("%w: %v", ErrRefusedMemory, reason) } //nolint:errorlint // on purpose

// LoadError says why a module cannot be loaded.
type LoadError struct {
	// Err is what is wrong with it.
	Err error
	// Hint is what to do about it; may be empty.
	Hint string
}

func (e *LoadError) Error() string {
	if e.Hint == "" {
		return e.Err.Error()
	}
	return e.Err.Error() + ": " + e.Hint
}

func (e *LoadError) Unwrap() error { return e.Err }

// MissingImportError says that the guest imports a function that it is not
// offered: it was not granted, or exists nowhere.
type MissingImportError struct {
	// Module and Name are those of the import.
	Module, Name string
	// Service tells that the functions of host services are imported from this module.
	Service bool
}

func (e *MissingImportError) Error() string {
	return fmt.Sprintf("%q is not exported in module %q", e.Name, e.Module)
}

// RequestSizeError says that a guest handed a function of the host more than that takes.
type RequestSizeError struct {
	// Size and Limit are in bytes.
	Size, Limit int
}

func (e *RequestSizeError) Error() string {
	return fmt.Sprintf("request of %d bytes is over the limit of %d bytes", e.Size, e.Limit)
}

// PluginError is an error that the plugin returned.
type PluginError struct {
	// Text is exactly what the plugin returned; may be empty.
	Text string
}

func (e *PluginError) Error() string { return e.Text }

// Refusal returns the text.
func (e *PluginError) Refusal() string { return e.Text }

// CrashError says that a guest trapped, exited or broke the binary interface.
// Its instance is gone.
type CrashError struct {
	// Said is what the guest itself said of it on stderr, a line such as
	// "panic: no luck"; empty is nothing.
	Said string
	// Err is what happened, with the guest's stack where there is one.
	Err error
}

func (e *CrashError) Error() string {
	if e.Said == "" {
		return e.Err.Error()
	}
	return e.Said + ": " + e.Err.Error()
}

func (e *CrashError) Unwrap() error { return e.Err }

// HostError says that a function of the host failed and the guest's call with
// it, because the response of that function has no place for an error.
type HostError struct {
	// Function is the name of the import.
	Function string
	// Err is what the function returned.
	Err error
}

func (e *HostError) Error() string { return e.Function + ": " + e.Err.Error() }

func (e *HostError) Unwrap() error { return e.Err }

// HostFailed says that the host has failed.
func (e *HostError) HostFailed() {}

// ResultSizeError says that the guest's result was longer than the host takes.
type ResultSizeError struct {
	// Size and Limit are in bytes.
	Size, Limit int
}

func (e *ResultSizeError) Error() string {
	return fmt.Sprintf("the response has %d bytes, the limit is %d", e.Size, e.Limit)
}

// TooLarge says that the result was too long.
func (e *ResultSizeError) TooLarge() {}
