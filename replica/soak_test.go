package replica_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/soak/calls"
	"github.com/pluginhost/pluginhost/testenv/soak/crash"
	"github.com/pluginhost/pluginhost/testenv/soak/floods"
	"github.com/pluginhost/pluginhost/testenv/soak/many"
	"github.com/pluginhost/pluginhost/testenv/soak/memory"
	"github.com/pluginhost/pluginhost/testenv/soak/overload"
	"github.com/pluginhost/pluginhost/testenv/soak/reloads"
	"github.com/pluginhost/pluginhost/testenv/soak/usage"
)

// These are the short forms of make soak: the same code with less to do.

// little is what few calls may use more of than before: what each of many would
// take shows in the long form.
func little() usage.Usage {
	spare := usage.Spare()
	spare.Heap, spare.Resident, spare.Private = 32<<20, 128<<20, 128<<20
	spare.Mappings = 32 // the race detector has some of its own
	return spare
}

const soakSeed = 1

// outcome is what came of a short form.
type outcome interface {
	Text() string
	Bad() []string
}

// sound fails the test unless the outcome is good.
func sound(t *testing.T, result outcome, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Log(result.Text())
	for _, fault := range result.Bad() {
		t.Error(fault)
	}
}

func TestEveryCallerGetsItsOwnAnswerAndCallsLeaveNothingBehind(t *testing.T) {
	var plugins *calls.Plugins
	w := start(t, nil, func(c *setup) { plugins = calls.Install(t, &c.Config) })
	result, err := plugins.Run(t.Context(), w.Replica, calls.Sizes{
		Calls: 6000, Callers: 16, Connections: 2, Samples: 6, Spare: little(), Seed: soakSeed,
	})
	sound(t, result, err)
	if result.Calls != 6000 {
		t.Errorf("%d calls were made", result.Calls)
	}
}

func TestReloadsUnderLoadFailNoCallAndLeaveNothingBehind(t *testing.T) {
	w := start(t, nil, func(c *setup) { reloads.Install(t, &c.Config) })
	result, err := reloads.Run(t.Context(), w.Replica, reloads.Sizes{Reloads: 16, WarmUp: 8, Callers: 8, Spare: little(), Seed: soakSeed})
	sound(t, result, err)
	if result.Calls == 0 || len(result.Reloads) != 4 {
		t.Errorf("%d calls during %v", result.Calls, result.Reloads)
	}
}

func TestManyPluginsComeAndGo(t *testing.T) {
	w := start(t, nil, func(*setup) {})
	result, err := many.Run(t.Context(), t, w.Replica, many.Sizes{Plugins: 20, Compiled: 2, Spare: little(), Seed: soakSeed})
	sound(t, result, err)
	if result.Plugins != 22 {
		t.Errorf("%d plugins were loaded", result.Plugins)
	}
}

func TestOverloadIsRefusedAndHarmsNobodyElse(t *testing.T) {
	config := testenv.Config(t, testenv.NATS(t), t.TempDir())
	config.Runtime.MaxConcurrent, config.Runtime.Queue = 2, 8 // soon full
	record := overload.Install(t, &config)
	r := testenv.Start(t, config, record)
	result, err := overload.Run(t.Context(), r, record, overload.Sizes{
		Duration: 300 * time.Millisecond, Callers: 4, Times: 3, Patient: patience, Hasty: patience / 2,
	}, overload.Bear)
	sound(t, result, err)
	for _, load := range result.Loads {
		if load.Bystander.Count == 0 || load.Rate > 0 && load.Good == 0 {
			t.Errorf("%s: %d calls of the plugin were answered, %d of another", load.Name, load.Good, load.Bystander.Count)
		}
	}
}

func TestFloodsOfHeadersAndBodiesHarmNobodyElse(t *testing.T) {
	s := testenv.Server(t, func(o *server.Options) { o.MaxPayload = floods.MaxPayload })
	config := testenv.Config(t, s.ClientURL(), t.TempDir())
	fires := floods.Install(t, &config)
	r := testenv.Start(t, config, nil)
	// How long a call takes shows in the long form.
	result, err := floods.Run(t.Context(), r, s, fires, floods.Sizes{Duration: 1500 * time.Millisecond, Messages: []int{1 << 20}, Rate: 40 << 20})
	sound(t, result, err)
	if len(result.Floods) != 10 || result.Fires == 0 {
		t.Errorf("%d floods, %d fires", len(result.Floods), result.Fires)
	}
}

func TestPluginThatCrashesAtEveryCallLeavesNothingBehind(t *testing.T) {
	w := start(t, nil, func(c *setup) { crash.Install(t, &c.Config) })
	result, err := crash.Run(t.Context(), w.Replica, crash.Sizes{
		Calls: 300, Callers: 4, Idle: 100 * time.Millisecond, Busy: 1000, Spare: little(),
	})
	sound(t, result, err)
	for _, plugin := range result.Plugins {
		if plugin.Crashed != 300 || plugin.Beside.Count == 0 {
			t.Errorf("%s: %d calls were told that it crashed, %d calls of another plugin beside", plugin.Plugin, plugin.Crashed, plugin.Beside.Count)
		}
	}
}

func TestWhoeverWantsAllMemoryLeavesTheReplicaAndOthersTheirs(t *testing.T) {
	result, err := memory.Run(t.Context(), t, memory.Sizes{Duration: 3 * time.Second, HostMemory: memory.DeployedHostMemory, Limit: memory.DeployedLimit, Callers: 2})
	sound(t, result, err)
	if result.Beside.Count == 0 {
		t.Error("no call was made meanwhile")
	}
}
