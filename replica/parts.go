package replica

import (
	"context"
	"errors"

	"github.com/pluginhost/pluginhost/bus"
	"github.com/pluginhost/pluginhost/bus/cluster"
	"github.com/pluginhost/pluginhost/bus/kvcache"
	"github.com/pluginhost/pluginhost/config"
	"github.com/pluginhost/pluginhost/sdk/tokenstore"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/wasmrt"
)

// part is something that a replica runs besides its plugins.
type part struct {
	start func(ctx context.Context, settings *config.Config) error
	// leave, if it is not nil, ends what others should no longer expect of the replica, while its
	// plugins are unloaded.
	leave func(ctx context.Context)
	// stop, if it is not nil, ends the part once no plugin runs any more. Both wait until ctx is over.
	stop func(ctx context.Context) error
}

// parts are all of them, in the order in which they start. They stop in the opposite order.
func (r *Replica) parts() []part {
	return []part{
		{start: r.prepareFolders, stop: func(context.Context) error { return r.lock.Unlock() }},
		{
			start: func(_ context.Context, settings *config.Config) (err error) {
				r.http, err = startHTTP(r, settings)
				return err
			},
			stop: func(ctx context.Context) error { r.http.stop(ctx); return nil },
		},
		{
			start: func(ctx context.Context, settings *config.Config) (err error) {
				r.bus, err = bus.Open(ctx, r.busConfig(settings))
				r.isOpen.Store(err == nil)
				return err
			},
			stop: func(context.Context) error { r.bus.Close(); return nil },
		},
		{
			start: func(_ context.Context, settings *config.Config) (err error) {
				r.runtime, err = wasmrt.New(r.runtimeConfig(settings))
				return err
			},
			stop: func(ctx context.Context) error { return r.runtime.Close(ctx) },
		},
		{
			start: func(ctx context.Context, _ *config.Config) (err error) {
				r.heartbeat, err = cluster.StartHeartbeat(ctx, r.bus.Jet(), r.id, func() any { return r.record() })
				return err
			},
			stop: r.stopHeartbeat,
		},
		{
			start: func(ctx context.Context, _ *config.Config) (err error) {
				r.inits, err = cluster.OpenInits(ctx, r.bus.Jet(), cluster.InitsConfig{Heartbeat: r.heartbeat, Own: r.initialisedHere})
				return err
			},
			stop: func(context.Context) error { r.inits.Stop(); return nil },
		},
		{
			start: func(ctx context.Context, _ *config.Config) (err error) {
				r.leadership, err = r.startLeadership(ctx)
				return err
			},
			leave: func(ctx context.Context) { r.leadership.stop(ctx) },
		},
		{start: r.startPlanner, stop: func(context.Context) error { r.planner.Stop(); return nil }},
		{
			start: func(ctx context.Context, _ *config.Config) (err error) {
				r.scrobbles, err = r.openScrobbles(ctx)
				return err
			},
			leave: func(context.Context) { r.scrobbles.stopRouting() },
			stop:  func(context.Context) error { r.scrobbles.queues.Stop(); return nil },
		},
		{
			start: func(ctx context.Context, _ *config.Config) (err error) {
				r.sockets, err = r.startSockets(ctx)
				r.pluginParts = []pluginPart{r.sockets, r.newFires(), r.scrobbles}
				return err
			},
			stop: func(context.Context) error { r.sockets.stop(); return nil },
		},
		{
			start: func(ctx context.Context, _ *config.Config) (err error) {
				r.removals, err = startRemovals(ctx, r.removalsConfig())
				return err
			},
			stop: func(context.Context) error { r.removals.stop(); return nil },
		},
		{
			start: func(ctx context.Context, _ *config.Config) error { r.leavings = r.startLeavings(ctx); return nil },
			stop:  func(context.Context) error { r.leavings.stop(); return nil },
		},
		{
			start: func(ctx context.Context, settings *config.Config) (err error) {
				r.packages, err = r.openPackages(ctx, settings)
				return err
			},
			stop: func(context.Context) error { r.packages.stop(); return nil },
		},
		{
			start: func(ctx context.Context, _ *config.Config) (err error) { // operators may not make the bucket
				r.tokens, err = tokenstore.Follow(ctx, r.bus.Jet())
				return err
			},
			stop: func(context.Context) error { r.tokens.Stop(); return nil },
		},
		{
			start: func(ctx context.Context, settings *config.Config) (err error) {
				r.cache, err = kvcache.Open(ctx, r.bus.Jet(), kvcache.Config{Copy: settings.Cache.Copy, Staleness: settings.Cache.Staleness})
				return err
			},
			stop: func(context.Context) error { r.cache.Stop(); return nil },
		},
		{
			start: func(ctx context.Context, settings *config.Config) (err error) {
				r.artwork, err = r.startArtwork(ctx, settings)
				return err
			},
			leave: func(ctx context.Context) { r.artwork.stop(ctx) },
		},
		{
			start: func(ctx context.Context, _ *config.Config) (err error) {
				r.generations, err = cluster.KeepSecret(ctx, r.bus.Jet(), subjects.GenerationKey, r.reloadAll)
				return err
			},
			stop: func(context.Context) error { r.generations.Stop(); return nil },
		},
		{
			start: func(context.Context, *config.Config) (err error) {
				r.discovery, err = r.bus.StartDiscovery()
				return err
			},
			stop: func(context.Context) error { return r.discovery.Stop() },
		},
		{
			start: func(context.Context, *config.Config) (err error) {
				r.control, err = r.bus.StartControl(r.controls())
				return err
			},
			stop: func(context.Context) error { return r.control.Stop() },
		},
		{
			start: func(ctx context.Context, settings *config.Config) (err error) {
				r.doors, err = r.openDoors(ctx, settings)
				return err
			},
			stop: func(context.Context) error { r.doors.stop(); return nil },
		},
		{
			start: func(_ context.Context, settings *config.Config) (err error) {
				r.gateway, err = r.newGateway(settings)
				return err
			},
			leave: func(context.Context) { r.leaveGateway() },
			stop:  r.stopGateway,
		},
		{
			start: func(_ context.Context, settings *config.Config) (err error) {
				r.playDoor, err = r.openPlayDoor(settings)
				return err
			},
			leave: func(ctx context.Context) { r.playDoor.stop(ctx) },
		},
	}
}

// startParts starts all of them, until one does not start.
func (r *Replica) startParts(ctx context.Context, settings *config.Config) error {
	for _, p := range r.parts() {
		if err := p.start(ctx, settings); err != nil {
			return err
		}
		r.started = append(r.started, p)
	}
	return nil
}

// stopParts stops those that have started, the last first.
func (r *Replica) stopParts(ctx context.Context) (err error) {
	for i := len(r.started) - 1; i >= 0; i-- {
		if stop := r.started[i].stop; stop != nil {
			err = errors.Join(err, stop(ctx))
		}
	}
	return err
}
