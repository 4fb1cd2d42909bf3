package plugintest

import (
	"testing"

	"github.com/pluginhost/pluginhost/config"
)

func TestLimitsAreThoseOfAHost(t *testing.T) {
	t.Parallel()
	host := config.Default()
	for _, limit := range []struct {
		name      string
		here, its any
	}{
		{"Timeout", callTimeout, host.Runtime.Timeout},
		{"MaxTimeout", maxCallTimeout, host.Runtime.MaxTimeout},
		{"InitTimeout", initTimeout, host.Runtime.InitTimeout},
		{"MaxConcurrent", maxConcurrent, host.Runtime.MaxConcurrent},
		{"MaxMemory", int64(maxMemory), host.Runtime.MaxMemory},
		{"MaxValue", int64(maxValue), host.Cache.MaxValue},
		{"MaxEntries", maxEntries, host.Cache.MaxEntries},
		{"MaxBytes", int64(maxBytes), host.Cache.MaxBytes},
		{"TimeZone", timeZone, host.Scheduler.TimeZone},
		{"MaxSchedules", maxSchedules, host.Scheduler.MaxSchedules},
		{"MaxPayload", int64(maxPayload), host.Scheduler.MaxPayload},
		{"MaxConnections", maxConnections, host.WebSocket.MaxConnections},
		{"MaxMessage", int64(maxMessage), host.WebSocket.MaxMessage},
	} {
		if limit.here != limit.its {
			t.Errorf("%s is %v, a host's is %v", limit.name, limit.here, limit.its)
		}
	}
}
