package replica

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"
	"golang.org/x/sync/errgroup"

	"github.com/pluginhost/pluginhost/bus"
	"github.com/pluginhost/pluginhost/bus/cluster"
	"github.com/pluginhost/pluginhost/bus/kvcache"
	"github.com/pluginhost/pluginhost/config"
	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/wasmrt"
)

// prepareFolders makes the folders and locks the data.
func (r *Replica) prepareFolders(config *config.Config) error {
	if _, err := os.Stat(config.Plugins.Folder); errors.Is(err, fs.ErrNotExist) {
		r.log.Warn("the plugins folder was not there and is made: look whether it is the one that is meant", "folder", config.Plugins.Folder)
	}
	for _, dir := range []string{config.Data, config.Plugins.Folder} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make folder: %w", err)
		}
	}
	lock := flock.New(filepath.Join(config.Data, "lock"))
	locked, err := lock.TryLock()
	if err != nil {
		return fmt.Errorf("lock %s: %w", lock.Path(), err)
	}
	if !locked {
		return fmt.Errorf("%w (%s)", ErrDataInUse, config.Data)
	}
	r.lock = lock
	return nil
}

// open starts everything but the plugins.
func (r *Replica) open(ctx context.Context, config *config.Config) (err error) {
	if r.health, err = startHealth(r, config.HTTP.Listen); err != nil {
		return err
	}
	if r.bus, err = bus.Open(ctx, r.busConfig(config)); err != nil {
		return err
	}
	r.isOpen.Store(true)
	r.runtime, err = wasmrt.New(wasmrt.Config{
		CacheDir:  filepath.Join(config.Data, "compiled"),
		CacheSize: config.Plugins.CacheSize,
		// TrimCache follows in loadAll.
		KeepUntilTrimmed: true,
		CompileTimeout:   config.Runtime.CompileTimeout,
		CompileMemory:    config.Runtime.CompileMemory,
		CompileWorkers:   config.Runtime.CompileWorkers,
		Compiler:         r.compiler,
		HostMemory:       config.Runtime.HostMemory,
		Logger:           r.log,
	})
	if err != nil {
		return err
	}
	if r.heartbeat, err = cluster.StartHeartbeat(ctx, r.bus.Jet(), r.id, func() any { return r.record() }); err != nil {
		return err
	}
	if r.inits, err = cluster.OpenInits(ctx, r.bus.Jet(), cluster.InitsConfig{Heartbeat: r.heartbeat, Own: r.initialisedHere}); err != nil {
		return err
	}
	if r.leadership, err = r.startLeadership(ctx); err != nil {
		return err
	}
	if r.planner, err = r.startPlanner(ctx); err != nil {
		return err
	}
	if r.sockets, err = r.startSockets(ctx); err != nil {
		return err
	}
	if r.removals, err = r.startRemovals(ctx); err != nil {
		return err
	}
	r.leavings = r.startLeavings(ctx)
	if r.packages, err = r.openPackages(ctx, config); err != nil {
		return err
	}
	if r.cache, err = kvcache.Open(ctx, r.bus.Jet(), kvcache.Config{Copy: config.Cache.Copy, Staleness: config.Cache.Staleness}); err != nil {
		return err
	}
	if r.artwork, err = r.startArtwork(ctx, config); err != nil {
		return err
	}
	if r.generations, err = cluster.KeepSecret(ctx, r.bus.Jet(), subjects.GenerationKey, r.reloadAll); err != nil {
		return err
	}
	if r.discovery, err = r.bus.StartDiscovery(); err != nil {
		return err
	}
	r.control, err = r.bus.StartControl(r.controls())
	return err
}

// makeRoom has compiled code give way on a disk that is about to be full: it is made again
// when it is needed.
func (r *Replica) makeRoom(bytes int64) {
	if freed, err := r.runtime.MakeRoom(bytes); err != nil {
		r.log.Warn("compiled code could not make room on the disk", "error", err)
	} else if freed > 0 {
		r.log.Warn("the disk of the data folder is almost full: compiled code made room", "bytes", freed)
	}
}

func (r *Replica) busConfig(settings *config.Config) bus.Config {
	n := settings.NATS
	return bus.Config{
		URL:      n.URL,
		Creds:    n.Creds,
		TLS:      bus.TLS{CA: n.TLS.CA, Cert: n.TLS.Cert, Key: n.TLS.Key},
		Embedded: bus.Embedded{Listen: n.Listen, Token: n.Token, StoreDir: filepath.Join(settings.Data, "nats")},
		Replicas: n.Replicas,
		Memory:   n.Storage == config.StorageMemory,
		MakeRoom: r.makeRoom,
		Name:     r.id,
		Logger:   r.log,
	}
}

// loadAll loads the plugins of the folder and those that are installed for the
// cluster at once; the runtime bounds how many compile together. A plugin that fails
// is no error.
func (r *Replica) loadAll(ctx context.Context, config *config.Config) error {
	if !config.Plugins.Enabled {
		r.log.Warn("nothing is hosted", "reason", errPluginsOff)
		return nil
	}
	if err := plugin.Recover(config.Plugins.Folder); err != nil {
		r.log.Warn("what an interrupted change of the plugins folder left cannot be put right", "error", err)
	}
	entries, err := r.entries(config)
	if err != nil {
		return err
	}
	if fault := r.folderFault(); fault != "" {
		r.log.Warn("plugins are not where they were", "reason", fault)
	}
	if len(entries) == 0 {
		r.log.Warn("no plugins: each is a folder of its own, with plugin.wasm and manifest.json, below this one, or installed for the cluster", "folder", config.Plugins.Folder)
	}
	for _, entry := range entries {
		r.hosted(entry.ID).show(view{entry: entry, loading: true}, "")
	}
	r.takeUpRemovals(ctx, config)
	r.log.Info("loading plugins", "count", len(entries), "folder", config.Plugins.Folder, "data", config.Data)
	var group errgroup.Group
	for _, entry := range entries {
		group.Go(func() error {
			// Reported by status, log and event.
			_ = r.hosted(entry.ID).askReload(true).waitAtStart(ctx)
			return nil
		})
	}
	_ = group.Wait()
	if ctx.Err() == nil {
		r.runtime.TrimCache() // now it is known whose code is needed
		r.warnUnmatched(config)
	}
	return ctx.Err()
}

// compileAgain has those plugins compiled that were not while others were loading, because
// that had failed before: they wait behind all others, and nobody waits for them.
func (r *Replica) compileAgain() {
	for _, h := range r.all() {
		if errors.Is(h.shown().err, wasmrt.ErrFailedBefore) {
			h.askReload(true)
		}
	}
}
