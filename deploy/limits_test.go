package deploy_test

import (
	"testing"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/pelletier/go-toml/v2"

	"github.com/pluginhost/pluginhost/config"
	"github.com/pluginhost/pluginhost/testenv/soak/memory"
)

// longestDrain is how long a replica with the settings of config/pluginhost.toml
// may take to leave.
func longestDrain(t *testing.T) time.Duration {
	t.Helper()
	longest := config.Default().Runtime.MaxTimeout
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
	Plugins struct{ CacheSize string }
	Runtime struct {
		MaxTimeout, HostMemory, CompileMemory string
		CompileWorkers                        int
	}
}

func settings(t *testing.T) (s fileSettings) {
	t.Helper()
	if err := toml.Unmarshal([]byte(read(t, "config", "pluginhost.toml")), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// checkMemory checks that a limit leaves room besides the guests and what compiles.
func checkMemory(t *testing.T, limit string) {
	t.Helper()
	const room = 512 << 20
	given, applies := settings(t).Runtime, config.Default().Runtime
	for text, size := range map[string]*int64{given.HostMemory: &applies.HostMemory, given.CompileMemory: &applies.CompileMemory} {
		if text == "" {
			continue // the default
		}
		bytes, err := humanize.ParseBytes(text)
		if err != nil {
			t.Fatal(err)
		}
		*size = int64(bytes)
	}
	if given.CompileWorkers > 0 {
		applies.CompileWorkers = given.CompileWorkers
	}
	need := applies.HostMemory + int64(applies.CompileWorkers)*applies.CompileMemory + room
	got, err := humanize.ParseBytes(limit)
	if err != nil || int64(got) < need {
		t.Errorf("a limit of %s, where guests, %d compilers and the rest take up to %s: %v", limit, applies.CompileWorkers, humanize.Bytes(uint64(need)), err)
	}
	left := int64(got) - int64(applies.CompileWorkers)*applies.CompileMemory
	if applies.HostMemory != memory.DeployedHostMemory || left < memory.DeployedLimit {
		t.Errorf("a limit of %s, less what compiles, with a HostMemory of %d is not what make soak proves", limit, applies.HostMemory)
	}
}

// packagesRoom is for the plugins of the cluster that a replica unpacks, two versions of each
// while it changes them.
const packagesRoom = 1 << 30

// checkVolume checks that a volume for the data of a replica has room for compiled code and
// packages. An empty limit is none.
func checkVolume(t *testing.T, limit string) {
	t.Helper()
	if limit == "" {
		return
	}
	cache := config.Default().Plugins.CacheSize
	if text := settings(t).Plugins.CacheSize; text != "" {
		bytes, err := humanize.ParseBytes(text)
		if err != nil {
			t.Fatal(err)
		}
		cache = int64(bytes)
	}
	got, err := humanize.ParseBytes(limit)
	if err != nil || int64(got) < cache+packagesRoom {
		t.Errorf("a volume of %s, where compiled code and packages take up to %s: %v", limit, humanize.Bytes(uint64(cache+packagesRoom)), err)
	}
}
