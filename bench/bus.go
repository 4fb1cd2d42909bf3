package main

import (
	"context"
	"errors"
)

// manyCallers is how many call at once where it is not one.
const manyCallers = 64

// benchmarkBus measures calls over NATS.
func benchmarkBus(ctx context.Context, dir string, guests guestSet, p plan) (_ []result, err error) {
	e, err := openEnvironment(ctx, dir, map[string][]byte{
		pluginHandmade: guests.handmade,
		pluginReuse:    guests.compiled,
		pluginFresh:    guests.compiled,
	}, manyCallers)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, e.close(context.WithoutCancel(ctx))) }()
	callEcho, err := e.callEcho()
	if err != nil {
		return nil, err
	}
	var rows []*row
	for _, callers := range []int{1, manyCallers} {
		echo := &row{name: "NATS echo", callers: callers, do: callEcho}
		rows = append(rows, echo,
			&row{name: "plugin, handmade", callers: callers, do: e.callPlugin(pluginHandmade), against: echo},
			&row{name: "plugin, Go", callers: callers, do: e.callPlugin(pluginReuse), against: echo})
		if callers == 1 {
			rows = append(rows, &row{name: "plugin, Go, isolation fresh", callers: callers, do: e.callPlugin(pluginFresh), against: echo})
		}
	}
	if err := measureRows(ctx, rows, p.rounds, p.length); err != nil {
		return nil, err
	}
	results := make([]result, 0, len(rows))
	for _, r := range rows {
		results = append(results, r.result())
	}
	if p.profiles != "" {
		err = profileRows(ctx, rows, p)
	}
	return results, err
}
