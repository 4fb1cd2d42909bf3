package replica

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/subjects"
)

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

// serves says whether the plugin takes calls here.
func (r *Replica) serves(id string) bool {
	h := r.find(id)
	return h != nil && h.endpoint.Load() != nil && !h.unloading.Load() && !r.draining.Load()
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
