package replica

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"

	"golang.org/x/time/rate"

	"github.com/pluginhost/pluginhost/bus"
	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/sdk/call"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/wasmrt"
)

// hosted is one plugin of this replica, through all its generations.
type hosted struct {
	replica *Replica
	id      string
	// current takes the calls; nil before the first generation is ready and
	// after the last has gone.
	current atomic.Pointer[generation]

	// endpoint is nil while nothing is served; it changes under changing.
	endpoint atomic.Pointer[bus.Endpoint]

	// calls answers the calls of callers, and stats counts them. Both are made with the
	// endpoint.
	calls *call.Server // changes under changing
	stats atomic.Pointer[call.Stats]

	// unloading says that nothing of the plugin is to begin any more.
	unloading atomic.Bool
	callbacks callbackStats
	failures  *rate.Limiter // of callbacks that are logged

	// holds is the run of OnInit of a generation that is about to serve; nil is none.
	holds atomic.Pointer[string]
	// compiling tells of the generation that is being made; nil while none is.
	compiling atomic.Pointer[wasmrt.CompileProgress]

	// initFailure is nil unless the newest OnInit has failed.
	initFailure atomic.Pointer[initFailure]
	// candidate is nil unless there is a generation whose OnInit is tried again; it
	// changes under changing.
	candidate atomic.Pointer[candidate]
	// initialising is nil unless a reload runs OnInit.
	initialising atomic.Pointer[initialising]

	// changing is held while a generation is made or unmade.
	changing sync.Mutex
	// retiring holds a token for each former generation that has calls.
	retiring chan struct{}

	// mu guards what follows.
	mu        sync.Mutex
	view      view
	seen      string  // how what was read last looked from outside
	asked     *reload // the one that begins next, if there is one
	reloading bool
}

// view is what status tells.
type view struct {
	entry   plugin.Entry // the newest that was looked at
	loading bool
	gone    bool  // it is, or never was there
	err     error // why the newest could not be loaded
}

func newHosted(r *Replica, id string) *hosted {
	return &hosted{replica: r, id: id, retiring: make(chan struct{}, maxRetiring), view: view{gone: true}, failures: rate.NewLimiter(1, 10)}
}

func (h *hosted) shown() view {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.view
}

// show changes what status tells. seen is how the plugin looked from outside
// before it was read.
func (h *hosted) show(v view, seen string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.view, h.seen = v, seen
}

func (h *hosted) isGone() bool { return h.shown().gone }

// awaits says whether the plugin is still to be loaded as it looks from outside
// now; empty is a plugin that is not there. One that is being loaded is looked at after that.
func (h *hosted) awaits(look string) bool { return !h.isReloading() && h.looksOther(look) }

func (h *hosted) isReloading() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.reloading
}

// looksOther says whether the plugin looks otherwise than what was read, or is being read.
func (h *hosted) looksOther(look string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.seen != look || h.view.gone && look != ""
}

// serve puts next in the place of the current generation. The endpoint stays:
// calls find the generation that is current when they run.
func (h *hosted) serve(ctx context.Context, next *generation) error {
	limits := call.Limits{
		MaxInFlight: next.limits.MaxConcurrent + next.limits.Queue,
		Timeout:     next.limits.Timeout,
		MaxTimeout:  next.limits.MaxTimeout,
	}
	if endpoint := h.endpoint.Load(); endpoint == nil {
		h.current.Store(next)
		stats := new(call.Stats)
		h.stats.Store(stats)
		h.calls = h.newCalls(limits)
		endpoint, err := h.replica.bus.Serve(ctx, bus.EndpointConfig{
			ID:       h.id,
			Replica:  h.replica.id,
			Calls:    h.calls,
			Stats:    stats,
			Describe: h.describe,
		})
		if err != nil {
			h.current.Store(nil)
			h.letGo(next)
			return errors.Join(err, next.close(context.Background()))
		}
		h.endpoint.Store(endpoint)
	} else {
		h.calls.SetLimits(limits)
		h.retire(h.current.Swap(next))
	}
	h.holds.Store(nil) // it is the current one's
	for _, part := range h.replica.pluginParts {
		part.serve(h, next)
	}
	for _, warning := range next.entry.Warnings[:min(len(next.entry.Warnings), maxList)] {
		h.replica.log.Warn("manifest", "plugin", h.id, "warning", cut(warning.String(), maxText))
	}
	h.replica.log.Info("plugin loaded", "plugin", h.id, "version", next.entry.Manifest.Version, "generation", next.id)
	h.announce(subjects.EventLoaded, next.id, nil)
	return nil
}

// unload takes no more calls, finishes those that run and closes the plugin.
func (h *hosted) unload(ctx context.Context) error {
	h.changing.Lock()
	defer h.changing.Unlock()
	return h.remove(ctx)
}

// remove is unload; changing is held.
func (h *hosted) remove(ctx context.Context) error {
	h.unloading.Store(true)
	h.dropCandidate(ctx)
	// What still runs may have opened more; then nothing runs any more.
	defer h.leaveParts(ctx)
	h.leaveParts(ctx)
	endpoint := h.endpoint.Load()
	if endpoint == nil {
		return nil
	}
	err := endpoint.Drain(ctx)
	h.endpoint.Store(nil)
	old := h.current.Swap(nil)
	err = errors.Join(err, old.close(ctx))
	h.announce(subjects.EventUnloaded, old.id, err)
	return err
}

func (h *hosted) leaveParts(ctx context.Context) {
	for _, part := range h.replica.pluginParts {
		part.leave(ctx, h)
	}
}

// describe tells discovery about the current generation.
func (h *hosted) describe() bus.Description {
	current := h.current.Load()
	if current == nil {
		return bus.Description{}
	}
	manifest := current.entry.Manifest
	return bus.Description{
		Version: cut(manifest.Version, maxText),
		Text:    cut(manifest.Description, maxText),
		Methods: slices.Sorted(maps.Keys(current.methods)),
		Metadata: map[string]string{
			"name":         cut(manifest.Name, maxText),
			"author":       cut(manifest.Author, maxText),
			"capabilities": cut(strings.Join(manifest.Capabilities, ","), maxText),
			"generation":   current.id,
		},
	}
}

// manifest is that of the version which serves or, if none does, of the newest; nil is none.
func (h *hosted) manifest() *plugin.Manifest {
	if current := h.current.Load(); current != nil && h.endpoint.Load() != nil {
		return current.entry.Manifest
	}
	return h.shown().entry.Manifest
}

// status tells what clients and operators see of the plugin.
func (h *hosted) status() subjects.PluginStatus {
	shown := h.shown()
	entry := shown.entry
	status := subjects.PluginStatus{
		ID: h.id, State: subjects.StateFailed, Symlink: entry.Symlink,
		Callbacks: h.callbacks.read(),
	}
	for _, part := range h.replica.pluginParts {
		part.status(h, &status)
	}
	if shown.loading {
		status.State = subjects.StateInitialising
	}
	status.Progress = progressOf(h.compiling.Load(), time.Now())
	if shown.err != nil {
		status.Error = cut(shown.err.Error(), maxErrorText)
		status.InitRetry = h.candidate.Load().status()
	}
	// It takes calls only with an endpoint.
	endpoint, current := h.endpoint.Load(), h.current.Load()
	if endpoint != nil && current != nil {
		status.State = subjects.StateReady
		status.Generation, status.Files = current.id, current.files
		isolation, reason := current.module.Isolation()
		status.Isolation, status.IsolationReason = string(isolation), cut(reason, maxText)
		stats := current.module.Stats()
		counts := h.stats.Load().Sum()
		status.Calls = &subjects.CallStats{
			Requests: counts.Requests, Errors: counts.Errors,
			Running: stats.Running, Waiting: stats.Waiting, Idle: stats.Idle,
		}
		entry = current.entry
	}
	if status.Package = h.replica.packages.digestOf(entry); status.Package != "" {
		status.Source = subjects.SourcePackage
	}
	if manifest := entry.Manifest; manifest != nil {
		status.Name, status.Author, status.Version = cut(manifest.Name, maxText), cut(manifest.Author, maxText), cut(manifest.Version, maxText)
		status.Description, status.Website = cut(manifest.Description, maxText), cut(manifest.Website, maxText)
		status.Capabilities = manifest.Capabilities[:min(len(manifest.Capabilities), maxList)]
		status.Permissions = manifest.Permissions.Granted()
		for _, warning := range entry.Warnings[:min(len(entry.Warnings), maxList)] {
			status.Warnings = append(status.Warnings, cut(warning.String(), maxText))
		}
	}
	if reason := h.replica.folder.kept(h.id); reason != "" && !shown.gone {
		status.Warnings = append(status.Warnings, cut("it goes on from memory: "+reason, maxText))
	}
	if unused := h.replica.packages.unused(h.id); unused != "" && status.Source == "" {
		status.Warnings = append(status.Warnings, cut(unused, maxText))
	}
	return status
}

func (h *hosted) announce(kind subjects.EventKind, generation string, err error) {
	event := subjects.PluginEvent{V: subjects.Version, Replica: h.replica.id, ID: h.id, Time: time.Now().UTC(), Generation: generation}
	if err != nil {
		event.Error = cut(err.Error(), maxErrorText)
	}
	h.replica.publish(kind, h.id, event)
}

// publish announces what a plugin or a replica does, of this id.
func (r *Replica) publish(kind subjects.EventKind, id string, event any) {
	body, err := json.Marshal(event)
	if err == nil {
		err = r.bus.Publish(subjects.Event(kind, id), body)
	}
	if err != nil {
		r.log.Warn("event could not be published", "kind", string(kind), "id", id, "error", err)
	}
}

// Bounds on what a plugin can make us tell about it: the plugins of a replica
// must fit one message, and a line of the log should be readable.
const (
	maxText      = 512 // bytes
	maxErrorText = 4 << 10
	maxList      = 20 // entries
)

// cut shortens a foreign text to about limit bytes. Control characters take
// several in JSON, so they go too.
func cut(text string, limit int) string {
	suffix := ""
	if len(text) > limit {
		text, suffix = strings.ToValidUTF8(text[:limit], ""), "…"
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, text) + suffix
}
