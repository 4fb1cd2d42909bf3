package replica

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofrs/flock"
	"github.com/nats-io/nuid"
	"golang.org/x/sync/errgroup"

	"github.com/pluginhost/pluginhost/bus"
	"github.com/pluginhost/pluginhost/internal/watch"
	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/wasmrt"
)

// ErrDataInUse says that another process works in the data folder.
var ErrDataInUse = errors.New("the data folder is in use by another replica: give each replica a --data of its own")

var errPluginsOff = errors.New("plugins are off: [Plugins] Enabled is false")

// Replica is a running host.
type Replica struct {
	// config is never changed in place; Reconfigure puts another there.
	config  atomic.Pointer[Config]
	log     *slog.Logger
	id      string
	started time.Time

	lock        *flock.Flock
	bus         *bus.Bus
	runtime     *wasmrt.Runtime
	heartbeat   *bus.Heartbeat
	inits       *bus.Inits
	leadership  *leadership
	planner     *planner
	sockets     *sockets
	removals    *removals
	leavings    *leavings
	packages    *packages
	folder      *pluginsFolder
	cache       *bus.Cache
	generations *bus.Secret   // the key by which they are told apart
	artwork     *artworkProxy // nil where Navidrome makes the addresses of images
	control     *bus.Control
	discovery   *bus.Discovery
	health      *health

	mu sync.Mutex
	// plugins are never removed: a refresh may be waiting for one that is gone.
	plugins map[string]*hosted

	// running ends when the replica drains, with errLeaving; reloads have it.
	running    context.Context
	stop       context.CancelCauseFunc
	background *background
	watcher    atomic.Pointer[watch.Watcher] // nil where nothing is watched

	reconfiguring sync.Mutex
	longest       atomic.Int64 // what LongestTimeout returns
	refused       refusedConfig

	ready, draining atomic.Bool
	asked           chan struct{} // closed when a control request asks to leave
	askOnce         sync.Once
	drainOnce       sync.Once
	drained         error // what drain returned
}

// Start opens the bus, loads every plugin and serves those that load. It
// returns when each is serving or has failed. A configuration that is not valid
// is a *ConfigError, a data folder in use ErrDataInUse, a server without
// JetStream bus.ErrNoJetStream. The caller ends the Replica with Drain.
func Start(ctx context.Context, config Config, log *slog.Logger) (_ *Replica, err error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	r := &Replica{
		id:         identity(config.Name),
		started:    time.Now().UTC(),
		plugins:    make(map[string]*hosted),
		asked:      make(chan struct{}),
		background: newBackground(),
	}
	r.log = newAuthorLog(r, log)
	r.folder = newPluginsFolder(config.Plugins.Folder, r.log)
	r.config.Store(&config)
	r.longest.Store(int64(config.Runtime.LongestTimeout()))
	r.running, r.stop = context.WithCancelCause(context.WithoutCancel(ctx))
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Drain(context.WithoutCancel(ctx)))
		}
	}()
	if err := r.prepareFolders(&config); err != nil {
		return nil, err
	}
	if err := r.open(ctx, &config); err != nil {
		return nil, err
	}
	if err := r.loadAll(ctx, &config); err != nil {
		return nil, err
	}
	if config.Plugins.Enabled {
		r.packages.start(ctx)
	}
	r.ready.Store(true)
	r.startWatch()
	r.beat(ctx)
	r.compileAgain()
	return r, nil
}

// identity is the name and a part that no other process has.
func identity(name string) string { return name + "-" + strings.ToLower(nuid.Next()[14:]) }

// prepareFolders makes the folders and locks the data.
func (r *Replica) prepareFolders(config *Config) error {
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
func (r *Replica) open(ctx context.Context, config *Config) (err error) {
	if r.health, err = startHealth(r, config.HTTP.Listen); err != nil {
		return err
	}
	if r.bus, err = bus.Open(ctx, r.busConfig(config)); err != nil {
		return err
	}
	r.runtime, err = wasmrt.New(wasmrt.Config{
		CacheDir:  filepath.Join(config.Data, "compiled"),
		CacheSize: config.Plugins.CacheSize,
		// TrimCache follows in loadAll.
		KeepUntilTrimmed: true,
		CompileTimeout:   config.Runtime.CompileTimeout,
		CompileMemory:    config.Runtime.CompileMemory,
		CompileWorkers:   config.Runtime.CompileWorkers,
		Compiler:         config.compiler,
		HostMemory:       config.Runtime.HostMemory,
		Logger:           r.log,
	})
	if err != nil {
		return err
	}
	if r.heartbeat, err = r.bus.StartHeartbeat(ctx, r.id, func() any { return r.record() }); err != nil {
		return err
	}
	if r.inits, err = r.bus.OpenInits(ctx, bus.InitsConfig{Heartbeat: r.heartbeat, Own: r.initialisedHere}); err != nil {
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
	if r.cache, err = r.bus.OpenCache(ctx, bus.CacheConfig{Copy: config.Cache.Copy, Staleness: config.Cache.Staleness}); err != nil {
		return err
	}
	if r.artwork, err = r.startArtwork(ctx, config); err != nil {
		return err
	}
	if r.generations, err = r.bus.KeepSecret(ctx, subjects.GenerationKey, r.reloadAll); err != nil {
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

func (r *Replica) busConfig(config *Config) bus.Config {
	n := config.NATS
	return bus.Config{
		URL:      n.URL,
		Creds:    n.Creds,
		TLS:      bus.TLS{CA: n.TLS.CA, Cert: n.TLS.Cert, Key: n.TLS.Key},
		Embedded: bus.Embedded{Listen: n.Listen, Token: n.Token, StoreDir: filepath.Join(config.Data, "nats")},
		Replicas: n.Replicas,
		Memory:   n.Storage == StorageMemory,
		MakeRoom: r.makeRoom,
		Name:     r.id,
		Logger:   r.log,
	}
}

// loadAll loads the plugins of the folder and those that are installed for the
// cluster at once; the runtime bounds how many compile together. A plugin that fails
// is no error.
func (r *Replica) loadAll(ctx context.Context, config *Config) error {
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

// reloadAll has every plugin loaded whose generation is another one by the key of now. The
// cluster has the former key again, which another replica knew, or an operator has
// changed it.
func (r *Replica) reloadAll() {
	r.log.Warn("generations have another key from now on, so plugins are loaded anew", "key", subjects.GenerationKey)
	if !r.config.Load().Plugins.Enabled {
		return
	}
	for _, h := range r.all() {
		h.askReload(false)
	}
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

// hosted returns the plugin of that id, made if it is new.
func (r *Replica) hosted(id string) *hosted {
	r.mu.Lock()
	defer r.mu.Unlock()
	h, ok := r.plugins[id]
	if !ok {
		h = newHosted(r, id)
		r.plugins[id] = h
	}
	return h
}

// find returns the plugin of that id, or nil.
func (r *Replica) find(id string) *hosted {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.plugins[id]
}

// all returns the plugins in the order of their ids, without those that are
// gone.
func (r *Replica) all() []*hosted { return slices.DeleteFunc(r.known(), (*hosted).isGone) }

// known is all with those that are gone, which may be coming back.
func (r *Replica) known() []*hosted {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.SortedFunc(maps.Values(r.plugins), func(a, b *hosted) int { return strings.Compare(a.id, b.id) })
}

// Refresh loads one plugin anew, from disk or from what is installed for the cluster
// now, and waits for that or for ctx. Those who ask while it is being loaded share one load that follows. If it cannot be
// loaded, the generation that served goes on serving; if it is gone, so is the
// plugin, with plugin.ErrNotFound where it was never here.
func (r *Replica) Refresh(ctx context.Context, id string) error {
	config := r.config.Load()
	if !config.Plugins.Enabled {
		return errPluginsOff
	}
	r.packages.reread(ctx, id)
	h := r.find(id)
	if h == nil {
		if r.locate(id).record == nil {
			if err := plugin.Load(config.Plugins.Folder, id).Err; errors.Is(err, plugin.ErrNotFound) || errors.Is(err, plugin.ErrBadID) {
				return err
			}
		}
		h = r.hosted(id)
	}
	return h.askReload(true).wait(ctx)
}

// Forget unloads a plugin whose files are away, and waits for that or for ctx. What it owns
// goes once no replica has it, also if it was never here. A plugin that is in the plugins
// folder, or installed for the cluster, stays as it is.
func (r *Replica) Forget(ctx context.Context, id string) error {
	if !r.config.Load().Plugins.Enabled {
		return errPluginsOff
	}
	r.packages.reread(ctx, id)
	if err := plugin.Load(r.config.Load().Plugins.Folder, id).Err; errors.Is(err, plugin.ErrBadID) {
		return err
	}
	if at := r.locate(id); at.Print != "" {
		return nil
	}
	r.folder.forget(id)
	h := r.find(id)
	if h == nil || h.isGone() {
		return r.removals.note(ctx, id)
	}
	return h.askReload(true).wait(ctx)
}

// beat tells other replicas at once what this one serves. The heartbeat makes up
// for a failure.
func (r *Replica) beat(ctx context.Context) {
	if err := r.heartbeat.Beat(ctx); err != nil && ctx.Err() == nil {
		r.log.Warn("heartbeat could not be written", "error", err)
	}
}

// LongestTimeout is how long a call can take that was accepted since the start,
// under any configuration that has applied: what Drain may need.
func (r *Replica) LongestTimeout() time.Duration { return time.Duration(r.longest.Load()) }

// Config is the configuration that applies now. It is not to be changed.
func (r *Replica) Config() Config { return *r.config.Load() }

// ID is the replica's identity: its name and a random part.
func (r *Replica) ID() string { return r.id }

// URL is where clients reach its NATS server.
func (r *Replica) URL() string { return r.bus.URL() }

// HTTPAddress is where health is told: host:port, or empty where that is off.
func (r *Replica) HTTPAddress() string { return r.health.address() }

// ArtworkAddress is where artwork is served to the public: host:port, or empty
// where that is off.
func (r *Replica) ArtworkAddress() string { return r.artwork.address() }

// Lost is closed when a connection to NATS is gone for good.
func (r *Replica) Lost() <-chan struct{} { return r.bus.Closed() }

// Asked is closed when a control request asks the replica to leave; its owner
// then calls Drain.
func (r *Replica) Asked() <-chan struct{} { return r.asked }

// Drain takes no more calls, finishes those that run, and leaves. Calls that
// are still running when ctx is over are cut off. It also ends a Replica that
// has not fully started. Further calls wait for the first and return the same.
func (r *Replica) Drain(ctx context.Context) error {
	r.drainOnce.Do(func() { r.drained = r.drain(ctx) })
	return r.drained
}

func (r *Replica) drain(ctx context.Context) error {
	r.draining.Store(true)
	r.stop(errLeaving)
	if watcher := r.watcher.Load(); watcher != nil {
		watcher.Stop()
	}
	var group errgroup.Group
	group.Go(func() error {
		r.leadership.stop(ctx)
		return nil
	})
	for _, h := range r.known() {
		group.Go(func() error { return h.unload(ctx) })
	}
	group.Go(func() error {
		r.artwork.stop(ctx)
		return nil
	})
	errs := []error{group.Wait()}
	r.background.end(ctx)
	// What outlives a cut-off must still be put away.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTimeout)
	defer cancel()
	if r.control != nil {
		errs = append(errs, r.control.Stop())
	}
	if r.discovery != nil {
		errs = append(errs, r.discovery.Stop())
	}
	if r.cache != nil {
		r.cache.Stop()
	}
	if r.generations != nil {
		r.generations.Stop()
	}
	r.packages.stop()
	r.removals.stop()
	r.leavings.stop()
	r.planner.stop()
	r.sockets.stop()
	if r.inits != nil {
		r.inits.Stop()
	}
	if r.heartbeat != nil {
		ctx, cancel := context.WithTimeout(ctx, r.bus.LeavePatience())
		defer cancel()
		if err := r.heartbeat.Stop(ctx); err != nil {
			r.log.Warn("others will see this replica gone only after a lease", "error", err)
		}
	}
	if r.runtime != nil {
		errs = append(errs, r.runtime.Close(ctx))
	}
	if r.bus != nil {
		r.bus.Close()
	}
	r.health.stop(ctx)
	if r.lock != nil {
		errs = append(errs, r.lock.Unlock())
	}
	return errors.Join(errs...)
}

// leaveTimeout bounds what is left to do after the last call.
const leaveTimeout = 5 * time.Second

// record is what the heartbeat tells.
func (r *Replica) record() subjects.Heartbeat {
	generations, failed, inits, holds := make(map[string]string), make(map[string]string), make(map[string]string), make(map[string]string)
	var unserved []string
	for _, h := range r.known() { // one that is gone is served until its calls are over
		generation, run, held := h.initialised()
		switch {
		case generation != "" && h.endpoint.Load() != nil: // of which the NATS server knows
			generations[h.id] = generation
		case !h.isGone():
			unserved = append(unserved, h.id)
		}
		note(inits, h.id, run)
		note(holds, h.id, held)
		if failure := h.initFailure.Load(); failure != nil {
			failed[h.id] = failure.generation
		}
	}
	return subjects.Heartbeat{
		V: subjects.Version, Replica: r.id, Name: r.config.Load().Name, Started: r.started,
		Generations: generations, Failed: failed, Unserved: unserved, Inits: inits, Holds: holds,
	}
}

// note puts a value under a key, unless it is empty.
func note(into map[string]string, key, value string) {
	if value != "" {
		into[key] = value
	}
}
