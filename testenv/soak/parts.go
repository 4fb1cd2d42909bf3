//go:build unix

package main

import (
	"context"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/pluginhost/pluginhost/config"
	"github.com/pluginhost/pluginhost/replica"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/soak/abuse"
	"github.com/pluginhost/pluginhost/testenv/soak/calls"
	"github.com/pluginhost/pluginhost/testenv/soak/crash"
	"github.com/pluginhost/pluginhost/testenv/soak/floods"
	"github.com/pluginhost/pluginhost/testenv/soak/many"
	"github.com/pluginhost/pluginhost/testenv/soak/memory"
	"github.com/pluginhost/pluginhost/testenv/soak/overload"
	"github.com/pluginhost/pluginhost/testenv/soak/reloads"
	"github.com/pluginhost/pluginhost/testenv/soak/usage"
	"github.com/pluginhost/pluginhost/testenv/standalone"
)

// part is one section of the soak, on a replica of its own.
type part struct {
	name, title string
	run         func(ctx context.Context, e *standalone.Environment, o options, progress func(done, all int)) (outcome, error)
}

// do runs the part; what it set up is gone afterwards.
func (p part) do(ctx context.Context, o options, progress func(done, all int)) (result outcome, err error) {
	e := standalone.New(ctx, "soak")
	defer e.End(&err)
	return p.run(ctx, e, o, progress)
}

func partNames() []string {
	var names []string
	for _, p := range parts() {
		names = append(names, p.name)
	}
	return names
}

// host starts a replica and its NATS server; prepare adds plugins.
func host(e *standalone.Environment, prepare func(*config.Config)) *replica.Replica {
	config := newConfig(e)
	prepare(&config)
	return testenv.Start(e, config, nil)
}

// newConfig is that of a replica whose NATS server has started.
func newConfig(e *standalone.Environment) config.Config {
	return testenv.Config(e, testenv.NATS(e), e.TempDir())
}

// parts returns every part, in the order in which they are done.
func parts() []part {
	return []part{
		{"abuse", "bad callers and bad plugins, each followed by a good call", soakAbuse},
		{"calls", "calls of every sort, each answer checked", soakCalls},
		{"reloads", "plugins loaded anew while eight callers call them", soakReloads},
		{"many", "plugins loaded, called once and removed", soakMany},
		{"overload", "three times the calls that a plugin can answer", soakOverload},
		{"memory", "all the memory that can be had, in every way at once", soakMemory},
		{"floods", "long headers and bodies, as many as a connection takes, while another plugin is called", soakFloods},
		{"crash", "a plugin that crashes at every call, and then nobody calls it", soakCrash},
	}
}

func soakAbuse(ctx context.Context, e *standalone.Environment, o options, progress func(done, all int)) (outcome, error) {
	const callers = 4
	r := host(e, func(c *config.Config) {
		abuse.Install(e, c)
		c.Runtime.MaxConcurrent = 2 * callers // a good call must not meet a queue
	})
	return abuse.Run(ctx, r, abuse.Sizes{Rounds: o.rounds, Callers: callers, Seed: o.seed, Progress: progress})
}

func soakCalls(ctx context.Context, e *standalone.Environment, o options, progress func(done, all int)) (outcome, error) {
	var plugins *calls.Plugins
	r := host(e, func(c *config.Config) { plugins = calls.Install(e, c) })
	return plugins.Run(ctx, r, calls.Sizes{
		Calls: o.calls, Callers: o.callers, Connections: 4, Samples: o.samples, Spare: usage.Spare(), Seed: o.seed, Progress: progress,
	})
}

func soakReloads(ctx context.Context, e *standalone.Environment, o options, progress func(done, all int)) (outcome, error) {
	r := host(e, func(c *config.Config) { reloads.Install(e, c) })
	return reloads.Run(ctx, r, reloads.Sizes{Reloads: o.reloads, WarmUp: 24, Callers: 8, Spare: usage.Spare(), Seed: o.seed, Progress: progress})
}

func soakMany(ctx context.Context, e *standalone.Environment, o options, progress func(done, all int)) (outcome, error) {
	r := host(e, func(c *config.Config) { c.Plugins.Watch = false })
	return many.Run(ctx, e, r, many.Sizes{Plugins: o.plugins, Compiled: 4, Spare: usage.Spare(), Seed: o.seed, Progress: progress})
}

func soakOverload(ctx context.Context, e *standalone.Environment, o options, progress func(done, all int)) (outcome, error) {
	config := newConfig(e)
	record := overload.Install(e, &config)
	r := testenv.Start(e, config, record)
	return overload.Run(ctx, r, record, overload.Sizes{
		Duration: o.load, Callers: 16, Times: 3, Patient: o.timeout, Hasty: o.hastily, Share: 0.7, Progress: progress,
	}, bearElsewhere)
}

func soakMemory(ctx context.Context, e *standalone.Environment, o options, progress func(done, all int)) (outcome, error) {
	return memory.Run(ctx, e, memory.Sizes{
		Duration: o.greed, HostMemory: memory.DeployedHostMemory, Limit: memory.DeployedLimit, Callers: 10, Lead: true, Progress: progress,
	})
}

func soakFloods(ctx context.Context, e *standalone.Environment, o options, progress func(done, all int)) (outcome, error) {
	s := testenv.Server(e, func(options *server.Options) { options.MaxPayload = floods.MaxPayload })
	config := testenv.Config(e, s.ClientURL(), e.TempDir())
	fires := floods.Install(e, &config)
	r := testenv.Start(e, config, nil)
	return floods.Run(ctx, r, s, fires, floods.Sizes{
		Duration: o.flood, Messages: []int{1 << 20, 4 << 20}, Rate: float64(o.rate) * (1 << 20), Worst: o.worst, Progress: progress,
	})
}

func soakCrash(ctx context.Context, e *standalone.Environment, o options, progress func(done, all int)) (outcome, error) {
	r := host(e, func(c *config.Config) { crash.Install(e, c) })
	return crash.Run(ctx, r, crash.Sizes{Calls: o.crashes, Callers: 4, Idle: o.nobody, Busy: 0.05, Spare: usage.Spare(), Progress: progress})
}
