package replica_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/config"
	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
)

// startSeveral runs the plugins a and b, and web, keeps and asks, which may use
// HTTP, the cache and the Subsonic API.
func startSeveral(t *testing.T) world {
	t.Helper()
	return start(t, nil, func(c *setup) {
		c.PluginConfig = map[string]map[string]string{"a": {"key": "one"}}
		testenv.AddPlugin(t, c.Plugins.Folder, "a", agentManifest(), echo)
		testenv.AddPlugin(t, c.Plugins.Folder, "b", agentManifest(), echo)
		http := map[string]any{"http": map[string]any{"reason": "test", "allowedUrls": map[string]any{"https://example.com": []string{"GET"}}}}
		testenv.AddPlugin(t, c.Plugins.Folder, "web", testenv.Manifest(http, "MetadataAgent"), echo)
		for id, permission := range map[string]string{"keeps": "cache", "asks": "subsonicapi"} {
			granted := map[string]any{permission: map[string]any{"reason": "test"}}
			testenv.AddPlugin(t, c.Plugins.Folder, id, testenv.Manifest(granted, "MetadataAgent"), echo)
		}
	})
}

func (w world) generations() map[string]string {
	generations := map[string]string{}
	for _, p := range w.Status().Plugins {
		generations[p.ID] = p.Generation
	}
	return generations
}

func TestConfigurationChangeLoadsThePluginsItIsFor(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change  func(*config.Config)
		loaded  []string
		restart []string
	}{
		"nothing": {change: func(*config.Config) {}},
		"the configuration of one plugin": {
			change: func(c *config.Config) { c.PluginConfig = map[string]map[string]string{"A": {"key": "two"}} },
			loaded: []string{"a"},
		},
		"a configuration that is gone, and one for nobody": {
			change: func(c *config.Config) { c.PluginConfig = map[string]map[string]string{"nobody": {"key": "two"}} },
			loaded: []string{"a"},
		},
		"the limits of one plugin": {
			change: func(c *config.Config) {
				queue := 7
				c.Runtime.Plugin = map[string]config.RuntimeOverride{"b": {Queue: &queue}}
			},
			loaded: []string{"b"},
		},
		"the limits of all": {
			change: func(c *config.Config) { c.Runtime.PoolSize = 3 },
			loaded: []string{"a", "asks", "b", "keeps", "web"},
		},
		"the address that one plugin may not call, and another calls": {
			change: func(c *config.Config) { c.Navidrome.URL = "http://192.0.2.7:4533" },
			loaded: []string{"asks", "web"},
		},
		"how Subsonic calls travel": {
			change: func(c *config.Config) { c.Navidrome.Subsonic = config.SubsonicBus },
			loaded: []string{"asks"},
		},
		"how much a plugin may cache": {
			change: func(c *config.Config) { c.Cache.MaxEntries = 5 },
			loaded: []string{"keeps"},
		},
		"copies of cached values, and the listener of artwork": {
			change: func(c *config.Config) {
				c.Cache.Copy, c.Cache.Staleness = 0, time.Second
				c.Navidrome.URL, c.Navidrome.User, c.Navidrome.ShareURL, c.Navidrome.ArtworkListen = "http://192.0.2.7", "joe", "https://example.com", "127.0.0.1:0"
			},
			loaded:  []string{"asks", "web"},
			restart: []string{"[Cache] Copy", "[Cache] Staleness", "[Navidrome] ShareURL", "[Navidrome] ArtworkListen"},
		},
		"what needs a restart, and something that does not": {
			change: func(c *config.Config) {
				c.Name, c.Plugins.Enabled, c.NATS.URL, c.HTTP.Listen = "other", false, "nats://192.0.2.1", "127.0.0.1:0"
				c.Runtime.CompileWorkers = 7
				c.PluginConfig = nil
			},
			loaded:  []string{"a"},
			restart: []string{"Name", "[Plugins] Enabled", "[NATS] URL", "[Runtime] CompileWorkers", "[HTTP] Listen"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := startSeveral(t)
			announced := w.events(t)
			before := w.generations()
			changed := w.Config()
			c.change(&changed)
			got, err := w.Reconfigure(w.context(t), changed)
			if err != nil || !slices.Equal(got.Loaded, c.loaded) || got.Failed != nil || !slices.Equal(got.Restart, c.restart) {
				t.Errorf("Reconfigure: %+v, %v, want %v loaded, %v to wait for a restart", got, err, c.loaded, c.restart)
			}
			for id, generation := range w.generations() {
				anew := slices.Contains(c.loaded, id)
				if (generation != before[id]) != anew || announced.of(t, id)["loaded"] == 0 == anew {
					t.Errorf("%s: generation %s, was %s, announced %v; loaded anew should be %t", id, generation, before[id], announced.of(t, id), anew)
				}
				w.good(t, id)
			}
			if status := w.Status(); status.Name != "test" {
				t.Errorf("the name is %q", status.Name)
			}
		})
	}
}

func TestConfigurationWithFaultsChangesNothing(t *testing.T) {
	t.Parallel()
	w := startSeveral(t)
	before := w.generations()
	for name, c := range map[string]struct {
		change func(*config.Config)
		faults int
		says   string
	}{
		"several faults": {
			change: func(c *config.Config) { c.Runtime.PoolSize, c.Runtime.Timeout, c.PluginConfig = 0, -1, nil },
			faults: 2,
			says:   "[Runtime] PoolSize",
		},
		"good only after a restart": {
			change: func(c *config.Config) {
				c.Runtime.HostMemory, c.Runtime.MaxMemory, c.PluginConfig = 4_000_000_000, 3_000_000_000, nil
			},
			faults: 1,
			says:   "restart the replica for [Runtime] HostMemory",
		},
	} {
		t.Run(name, func(t *testing.T) {
			changed := w.Config()
			c.change(&changed)
			_, err := w.Reconfigure(w.context(t), changed)
			var bad *config.InvalidError
			if !errors.As(err, &bad) || len(bad.Faults) != c.faults || !strings.Contains(err.Error(), c.says) {
				t.Errorf("Reconfigure: %v, want %d faults and %q", err, c.faults, c.says)
			}
			if after := w.generations(); !maps.Equal(before, after) || w.Config().PluginConfig == nil {
				t.Errorf("generations are %v, were %v; the configuration is %+v", after, before, w.Config())
			}
		})
	}
}

func TestPluginThatDoesNotTakeItsNewConfigurationGoesOn(t *testing.T) {
	t.Parallel()
	w := startSeveral(t)
	generation := w.plugin(t, "b").Generation
	changed := w.Config()
	pages := int64(64 << 10)
	changed.Runtime.Plugin = map[string]config.RuntimeOverride{"b": {MaxMemory: &pages}}
	testenv.AddPlugin(t, w.folder, "b", nil, guests.Handmade{Pages: 20}.Bytes()) // more than that
	got, err := w.Reconfigure(w.context(t), changed)
	if err != nil || !slices.Equal(got.Failed, []string{"b"}) || got.Loaded != nil {
		t.Errorf("Reconfigure: %+v, %v", got, err)
	}
	if status := w.plugin(t, "b"); status.Generation != generation || status.State != subjects.StateReady || status.Error == "" {
		t.Errorf("status is %+v", status)
	}
	w.good(t, "b")
	if _, err := w.Reconfigure(w.context(t), w.Config()); err != nil {
		t.Error(err)
	}
}

func TestNewLimitsOfCallsApplyWithoutLosingOne(t *testing.T) {
	t.Parallel()
	w := start(t, nil, func(c *setup) {
		testenv.AddPlugin(t, c.Plugins.Folder, "agent", agentManifest(), echo)
	})
	ctx := w.context(t)
	caller := client.New(w.caller.Conn, client.WithResends(0)) // which would hide a refusal
	load, stop := context.WithCancel(ctx)
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			for load.Err() == nil {
				if _, err := caller.Call(ctx, "agent", biography, []byte("\x0a\x01x")); err != nil {
					t.Errorf("a call while limits change: %v", err)
					return
				}
			}
		})
	}
	for i := range 20 {
		before := w.plugin(t, "agent").Calls.Requests
		eventually(t, "calls between two changes", func() bool {
			return t.Failed() || w.plugin(t, "agent").Calls.Requests > before+20
		})
		changed := w.Config()
		changed.Runtime.Timeout = time.Duration(i+1) * time.Second / 2
		if _, err := w.Reconfigure(ctx, changed); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	workers.Wait()
}

func TestNewTimeoutAppliesToCallsThatSayNone(t *testing.T) {
	t.Parallel()
	w := start(t, nil, func(c *setup) {
		c.Runtime.Timeout = 100 * time.Millisecond
		testenv.AddPlugin(t, c.Plugins.Folder, "agent", agentManifest(), guests.Wasm(t, guests.Probe))
	})
	ctx := w.context(t)
	code := func() string {
		t.Helper()
		reply, err := w.caller.Conn.RequestWithContext(ctx, subjects.Call("agent", biography), []byte(`{"name":"sleep 500"}`))
		if err != nil {
			t.Fatal(err)
		}
		return reply.Header.Get(subjects.HeaderErrorCode)
	}
	if got := code(); got != "408" {
		t.Errorf("with the short timeout: code %q", got)
	}
	before := w.plugin(t, "agent").Calls.Requests
	changed := w.Config()
	changed.Runtime.Timeout = 30 * time.Second
	if _, err := w.Reconfigure(ctx, changed); err != nil {
		t.Fatal(err)
	}
	if got := code(); got != "" {
		t.Errorf("with the long timeout: code %q", got)
	}
	if after := w.plugin(t, "agent").Calls.Requests; after != before+1 {
		t.Errorf("%d calls are counted after %d and one more", after, before)
	}
}
