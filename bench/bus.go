package main

import (
	"context"
	"errors"
	"time"
)

const (
	// manyCallers is how many call at once where it is not one.
	manyCallers = 64
	// roundsToFresh is how many rounds there are to one of isolation fresh with
	// many callers, which all wait for two cores to make an instance for each.
	roundsToFresh = 5
)

// busSection measures calls over NATS.
func busSection() section {
	return section{
		name: "bus", title: "No-op calls over NATS", baseline: "echo",
		shows: []quantity{p50, p99, perSecond, p50Ratio, rateRatio, cpu, cpuAdded},
		run:   measureBus,
	}
}

func measureBus(ctx context.Context, b *bench) (_ []*row, err error) {
	noop, err := b.guest(ctx, guestNoop)
	if err != nil {
		return nil, err
	}
	e, err := b.openEnvironment(ctx, "bus", map[string][]byte{
		pluginHandmade: handmade(nil),
		pluginClean:    noop,
		pluginReuse:    noop,
		pluginFresh:    noop,
	}, manyCallers)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, e.close(context.WithoutCancel(ctx))) }()
	callEcho, err := e.callEcho(echoSubject)
	if err != nil {
		return nil, err
	}
	callBounded, err := e.callEcho(boundedEcho)
	if err != nil {
		return nil, err
	}
	var rows []*row
	for _, callers := range []int{1, manyCallers} {
		echo := &row{name: "NATS echo", callers: callers, take: calls(callers, callEcho)}
		bounded := &row{name: "NATS echo, bounded headers", callers: callers, take: calls(callers, callBounded), against: echo}
		plugin := func(name, id string) *row {
			return &row{name: name, callers: callers, take: calls(callers, e.callPlugin(id)), against: echo}
		}
		clean, fresh := plugin("plugin, Go, clean", pluginClean), plugin("plugin, Go, fresh", pluginFresh)
		if callers == 1 {
			clean.aims = []aim{{of: p50Ratio, bound: 1.4}, {of: cpuAdded, bound: 15}}
		} else {
			clean.aims = []aim{{of: rateRatio, bound: 0.45, least: true}, {of: cpuAdded, bound: 15}}
			fresh.every = roundsToFresh
		}
		rows = append(rows, echo, bounded, plugin("plugin, handmade, clean", pluginHandmade), clean, plugin("plugin, Go, reuse", pluginReuse), fresh)
	}
	if err := b.measure(ctx, rows, 20, 250*time.Millisecond); err != nil {
		return nil, err
	}
	if b.plan.profiles != "" {
		err = profileRows(ctx, rows, b.plan)
	}
	return rows, err
}
