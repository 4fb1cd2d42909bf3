package plugintest

import (
	"errors"
	"strings"

	"github.com/pluginhost/pluginhost/api/schema"
	"github.com/pluginhost/pluginhost/internal/pluginerror"
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
		return pluginerror.Match(pluginerror.Of(refusal.Text))
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
