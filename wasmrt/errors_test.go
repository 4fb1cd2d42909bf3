package wasmrt_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/pluginhost/pluginhost/sdk/call"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/wasmrt"
)

// What an error means to a caller is told by its methods.
func TestErrorsSayWhatTheyMeanToCallers(t *testing.T) {
	trap := errors.New("wasm error: unreachable\nwasm stack trace:\n\t.fib(i32)")
	for _, c := range []struct {
		err           error
		failure, text string
	}{
		{&wasmrt.PluginError{Text: "no luck"}, "plugin_error", "no luck"},
		{&wasmrt.PluginError{Text: "plugin:not_found"}, "plugin:not_found", "plugin:not_found"},
		{&wasmrt.PluginError{Text: "plugin:not_implemented"}, "plugin:not_implemented", "plugin:not_implemented"},
		{wasmrt.ErrOverloaded, "overloaded", ""},
		{wasmrt.ErrHostMemory, "overloaded", ""},
		{wasmrt.ErrPluginMemory, "overloaded", ""},
		{fmt.Errorf("%w: %w", wasmrt.ErrHostMemory, trap), "overloaded", ""},
		{wasmrt.ErrClosed, "unavailable", ""},
		{wasmrt.ErrDeadline, "deadline_exceeded", ""},
		{wasmrt.ErrDeadlineInQueue, "deadline_exceeded", ""},
		{&wasmrt.ResultSizeError{Size: 2, Limit: 1}, "too_large", ""},
		{&wasmrt.HostError{Function: "http_get", Err: errors.New("no luck")}, "plugin_error", "http_get: no luck"},
		{&wasmrt.CrashError{Said: "panic: no luck", Err: trap}, "plugin_crashed", "panic: no luck: wasm error: unreachable"},
		{wasmrt.ErrRefusedMemory, "plugin_crashed", ""},
		{trap, "plugin_crashed", "wasm error: unreachable"},
	} {
		got := call.GuestFailure(c.err)
		if c.text == "" {
			c.text = c.err.Error()
		}
		if got.Failure.Error() != c.failure || got.Text != c.text {
			t.Errorf("%v is %q, %q, want %q, %q", c.err, got.Failure, got.Text, c.failure, c.text)
		}
	}
	if wrapped := fmt.Errorf("call: %w", wasmrt.ErrOverloaded); !errors.Is(wrapped, wasmrt.ErrOverloaded) || errors.Is(wrapped, wasmrt.ErrHostMemory) ||
		!errors.Is(wasmrt.ErrPluginMemory, wasmrt.ErrHostMemory) || !errors.Is(call.GuestFailure(wrapped), subjects.ErrOverloaded) {
		t.Error("errors do not match as they should")
	}
}
