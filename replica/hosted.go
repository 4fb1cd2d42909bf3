package replica

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/pluginhost/pluginhost/api/schema"
	"github.com/pluginhost/pluginhost/bus"
	"github.com/pluginhost/pluginhost/plugin"
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

	// changing is held while a generation is made or unmade.
	changing sync.Mutex

	// mu guards what status tells.
	mu      sync.Mutex
	entry   plugin.Entry // the newest that was looked at
	loading bool
	gone    bool  // its folder is
	err     error // why the newest could not be loaded
}

// load makes a generation of what is on disk, serves it and closes the one
// before. If it cannot be made, the one before goes on serving.
func (h *hosted) load(ctx context.Context, entry plugin.Entry) error {
	h.changing.Lock()
	defer h.changing.Unlock()
	return h.change(ctx, entry)
}

// refresh is load with what is on disk by the time it is its turn. A plugin
// whose folder is gone is unloaded.
func (h *hosted) refresh(ctx context.Context) error {
	h.changing.Lock()
	defer h.changing.Unlock()
	entry := plugin.Load(h.replica.config.Plugins.Folder, h.id)
	if !errors.Is(entry.Err, plugin.ErrNotFound) {
		return h.change(ctx, entry)
	}
	h.mu.Lock()
	h.gone = true
	h.mu.Unlock()
	// Its calls are finished also if the replica is told to leave meanwhile.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), h.replica.config.Runtime.For(h.id).MaxTimeout+time.Second)
	defer cancel()
	return h.remove(ctx)
}

func (h *hosted) isGone() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.gone
}

// change makes a generation of entry; changing is held.
func (h *hosted) change(ctx context.Context, entry plugin.Entry) error {
	h.note(entry, true, nil)
	next, err := h.replica.newGeneration(ctx, entry)
	if err == nil {
		err = h.serve(next)
	}
	h.note(entry, false, err)
	if ctx.Err() != nil {
		return errors.Join(ctx.Err(), err)
	}
	if err != nil {
		h.replica.log.Error("plugin failed to load", "plugin", h.id, "error", cut(err.Error(), maxErrorText))
		h.announce(subjects.EventFailed, "", err)
		return err
	}
	return nil
}

// serve puts next in the place of the current generation. The endpoint stays:
// calls find the generation that is current when they run.
func (h *hosted) serve(next *generation) error {
	if h.endpoint.Load() == nil {
		h.current.Store(next)
		endpoint, err := h.replica.bus.Serve(bus.EndpointConfig{
			ID:          h.id,
			Replica:     h.replica.id,
			Resolve:     h.resolve,
			Describe:    h.describe,
			MaxInFlight: next.limits.MaxConcurrent + next.limits.Queue,
			Timeout:     next.limits.Timeout,
			MaxTimeout:  next.limits.MaxTimeout,
		})
		if err != nil {
			h.current.Store(nil)
			return errors.Join(err, next.close(context.Background()))
		}
		h.endpoint.Store(endpoint)
	} else {
		h.retire(h.current.Swap(next))
	}
	for _, warning := range next.entry.Warnings[:min(len(next.entry.Warnings), maxList)] {
		h.replica.log.Warn("manifest", "plugin", h.id, "warning", cut(warning.String(), maxText))
	}
	h.replica.log.Info("plugin loaded", "plugin", h.id, "version", next.entry.Manifest.Version, "generation", next.id)
	h.announce(subjects.EventLoaded, next.id, nil)
	return nil
}

// retire closes a generation once its last call is over.
func (h *hosted) retire(old *generation) {
	ctx, cancel := context.WithTimeout(context.Background(), old.limits.MaxTimeout+time.Second)
	defer cancel()
	if err := old.close(ctx); err != nil {
		h.replica.log.Warn("old generation could not be closed cleanly", "plugin", h.id, "generation", old.id, "error", err)
	}
}

// unload takes no more calls, finishes those that run and closes the plugin.
func (h *hosted) unload(ctx context.Context) error {
	h.changing.Lock()
	defer h.changing.Unlock()
	return h.remove(ctx)
}

// remove is unload; changing is held.
func (h *hosted) remove(ctx context.Context) error {
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

// resolve finds the method of the current generation. The call moves to the
// next generation if that came while it was on its way.
func (h *hosted) resolve(name string, callback bool) (bus.Method, error) {
	current := h.current.Load()
	if current == nil {
		return bus.Method{}, subjects.Errorf(subjects.ErrUnavailable, "the plugin is being unloaded")
	}
	method, ok := current.table(callback)[name]
	if !ok {
		return bus.Method{}, current.noSuchMethod(name, callback)
	}
	first := method.Call
	method.Call = func(ctx context.Context, request []byte) ([]byte, error) {
		response, err := first(ctx, request)
		for errors.Is(err, wasmrt.ErrClosed) {
			next := h.current.Load()
			if next == nil || next == current {
				break
			}
			current = next
			again, ok := next.table(callback)[name]
			if !ok {
				return nil, next.noSuchMethod(name, callback)
			}
			response, err = again.Call(ctx, request)
		}
		if err != nil {
			return nil, current.failure(name, err)
		}
		return response, nil
	}
	return method, nil
}

func (g *generation) table(callback bool) map[string]bus.Method {
	if callback {
		return g.callbacks
	}
	return g.methods
}

// noSuchMethod tells a method of a capability that the plugin lacks from one
// that does not exist.
func (g *generation) noSuchMethod(name string, callback bool) error {
	for _, capability := range schema.Capabilities() {
		for _, method := range capability.Methods {
			if method.Name == name && capability.Name != lifecycle && isCallback(capability.Name) == callback {
				return subjects.Errorf(subjects.ErrNotImplemented, "%s is a method of %s, which is not in the manifest of %s", name, capability.Name, g.entry.ID)
			}
		}
	}
	known := slices.Sorted(maps.Keys(g.table(callback)))
	return subjects.Errorf(subjects.ErrBadRequest, "unknown method %.80q: %s has %s", name, g.entry.ID, strings.Join(known, ", "))
}

func isCallback(capability string) bool {
	return capability != plugin.MetadataAgent && capability != plugin.Scrobbler
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

func (h *hosted) note(entry plugin.Entry, loading bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.entry, h.loading, h.err, h.gone = entry, loading, err, false
}

// status tells what clients and operators see of the plugin.
func (h *hosted) status() subjects.PluginStatus {
	h.mu.Lock()
	entry, loading, err := h.entry, h.loading, h.err
	h.mu.Unlock()
	status := subjects.PluginStatus{ID: h.id, State: subjects.StateFailed, Symlink: entry.Symlink}
	if loading {
		status.State = subjects.StateInitialising
	}
	if err != nil {
		status.Error = cut(err.Error(), maxErrorText)
	}
	if current := h.current.Load(); current != nil {
		status.State = subjects.StateReady
		status.Generation = current.id
		status.Isolation = current.limits.Isolation
		stats := current.module.Stats()
		status.Calls = &subjects.CallStats{Running: stats.Running, Waiting: stats.Waiting, Idle: stats.Idle}
		if endpoint := h.endpoint.Load(); endpoint != nil {
			counts := endpoint.Stats()
			status.Calls.Requests, status.Calls.Errors = counts.Requests, counts.Errors
		}
		entry = current.entry
	}
	if manifest := entry.Manifest; manifest != nil {
		status.Name, status.Author, status.Version = cut(manifest.Name, maxText), cut(manifest.Author, maxText), cut(manifest.Version, maxText)
		status.Description = cut(manifest.Description, maxText)
		status.Capabilities = manifest.Capabilities[:min(len(manifest.Capabilities), maxList)]
		status.Permissions = manifest.Permissions.Granted()
		for _, warning := range entry.Warnings[:min(len(entry.Warnings), maxList)] {
			status.Warnings = append(status.Warnings, cut(warning.String(), maxText))
		}
	}
	return status
}

func (h *hosted) announce(kind subjects.EventKind, generation string, err error) {
	event := subjects.PluginEvent{V: subjects.Version, Replica: h.replica.id, ID: h.id, Time: time.Now().UTC(), Generation: generation}
	if err != nil {
		event.Error = cut(err.Error(), maxErrorText)
	}
	body, err := json.Marshal(event)
	if err == nil {
		err = h.replica.bus.Publish(subjects.Event(kind, h.id), body)
	}
	if err != nil {
		h.replica.log.Warn("event could not be published", "plugin", h.id, "kind", string(kind), "error", fmt.Errorf("publish: %w", err))
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

// firstLine leaves a guest's stack to the log.
func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}
