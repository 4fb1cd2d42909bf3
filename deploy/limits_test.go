package deploy_test

import (
	"testing"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/pelletier/go-toml/v2"

	"github.com/pluginhost/pluginhost/replica"
)

// longestDrain is how long a replica with the settings of config/pluginhost.toml
// may take to leave.
func longestDrain(t *testing.T) time.Duration {
	t.Helper()
	longest := replica.DefaultConfig().Runtime.MaxTimeout
	if value := settings(t).Runtime.MaxTimeout; value != "" {
		var err error
		if longest, err = time.ParseDuration(value); err != nil {
			t.Fatal(err)
		}
	}
	// The bound that docs/operations.md gives.
	return longest + 10*time.Second
}

type fileSettings struct {
	Runtime struct{ MaxTimeout, HostMemory string }
}

func settings(t *testing.T) (s fileSettings) {
	t.Helper()
	if err := toml.Unmarshal([]byte(read(t, "config", "pluginhost.toml")), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// checkMemory checks that a limit leaves room besides the guests.
func checkMemory(t *testing.T, limit string) {
	t.Helper()
	const room = 512 << 20
	host, err := humanize.ParseBytes(settings(t).Runtime.HostMemory)
	if err != nil {
		t.Fatal(err)
	}
	got, err := humanize.ParseBytes(limit)
	if err != nil || got < host+room {
		t.Errorf("a limit of %s, with HostMemory %s: %v", limit, humanize.Bytes(host), err)
	}
}
