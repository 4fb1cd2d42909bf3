package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv/guests"
)

const (
	// hogCallers is as many calls as a plugin may run at once by default.
	hogCallers = 10
	// hogDeadline is when each of their calls is ended, and called again.
	hogDeadline = time.Second
)

// neighbourSection measures a plugin while another computes without end, in as
// many calls as it may have.
func neighbourSection() section {
	return section{
		name: "neighbour", title: fmt.Sprintf("A plugin beside another with %d calls that loop", hogCallers), baseline: "alone",
		shows: []quantity{p50, p99, longest, perSecond, p50Ratio, p99Ratio},
		run:   measureNeighbour,
	}
}

func measureNeighbour(ctx context.Context, b *bench) (_ []*row, err error) {
	noop, err := b.guest(ctx, guestNoop)
	if err != nil {
		return nil, err
	}
	e, err := b.openEnvironment(ctx, "neighbour", map[string][]byte{pluginClean: noop, pluginHog: handmade(guests.Loop)}, 1+hogCallers)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, e.close(context.WithoutCancel(ctx))) }()
	one := calls(1, e.callPlugin(pluginClean))
	alone := &row{name: "plugin, Go, clean, alone", callers: 1, take: one}
	disturbed := &row{name: fmt.Sprintf("the same, beside %d calls that loop", hogCallers), callers: 1, take: beside(hogCallers, e.callHog, one), against: alone}
	rows := []*row{alone, disturbed}
	return rows, b.measure(ctx, rows, 8, time.Second)
}

// callHog makes one call that loops, and waits until its deadline ends it even if
// ctx is over before: it computes until then, beside what is measured next.
func (e *environment) callHog(ctx context.Context, n int) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), hogDeadline)
	defer cancel()
	// The first client is that of the plugin that is measured.
	c := e.clients[1+n%(len(e.clients)-1)]
	if _, err := c.MetadataAgent(pluginHog).GetArtistBiography(ctx, request()); !errors.Is(err, subjects.ErrDeadlineExceeded) {
		return fmt.Errorf("call %s: want its deadline exceeded, got %w", pluginHog, err)
	}
	return nil
}
