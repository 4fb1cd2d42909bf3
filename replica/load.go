package replica

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"github.com/pluginhost/pluginhost/config"
	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/wasmrt"
)

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
