package replica

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/pluginhost/pluginhost/config"
)

// Reconfigured says what another configuration has changed.
type Reconfigured struct {
	// Loaded are the ids of the plugins that have a new generation, Failed those
	// that could not be loaded with it and go on with the former one, in order.
	Loaded, Failed []string
	// Restart has the keys of settings that are different and apply only after a
	// restart, as config.Key writes them.
	Restart []string
}

// Reconfigure applies another configuration: plugins for which something has
// changed are loaded anew, and no others. Settings that cannot change while the
// replica runs stay as they are. A configuration that is not valid changes
// nothing and is a *config.InvalidError, as is one that needs a restart to be valid. It
// waits for the plugins or for ctx.
func (r *Replica) Reconfigure(ctx context.Context, config config.Config) (Reconfigured, error) {
	var result Reconfigured
	if err := config.Validate(); err != nil {
		return result, err
	}
	r.reconfiguring.Lock()
	defer r.reconfiguring.Unlock()
	running := r.config.Load()
	result.Restart = config.KeepFixed(running)
	if err := config.Validate(); err != nil {
		return result, fmt.Errorf("%w\nrestart the replica for %s to change", err, strings.Join(result.Restart, ", "))
	}
	for _, key := range result.Restart {
		r.log.Warn("a setting has changed that applies only after a restart", "key", key)
	}
	if r.artwork.address() != "" {
		if err := r.artwork.covers.use(&config); err != nil {
			return result, err
		}
	}
	r.longest.Store(max(r.longest.Load(), int64(config.Runtime.LongestTimeout())))
	r.config.Store(&config)
	r.doors.reconfigure(&config)
	if !config.Plugins.Enabled {
		return result, nil
	}
	var (
		group errgroup.Group
		mu    sync.Mutex
	)
	for _, h := range r.known() {
		if !h.isAffected(running, &config) {
			continue
		}
		group.Go(func() error {
			err := h.askReload(false).wait(ctx)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case h.isGone():
			case err != nil:
				result.Failed = append(result.Failed, h.id)
			default:
				result.Loaded = append(result.Loaded, h.id)
			}
			return nil
		})
	}
	_ = group.Wait() // each has told of its own
	slices.Sort(result.Loaded)
	slices.Sort(result.Failed)
	r.warnUnmatched(&config)
	r.log.Info("configuration applied", "loaded", result.Loaded, "failed", result.Failed, "restart", result.Restart)
	return result, context.Cause(ctx)
}

// isAffected says whether the plugin behaves otherwise under another
// configuration.
func (h *hosted) isAffected(before, after *config.Config) bool {
	permissions := permissionsOf(h.shown().entry.Manifest)
	was, errWas := before.Behaviour(h.id, permissions)
	is, errIs := after.Behaviour(h.id, permissions)
	return errWas != nil || errIs != nil || !bytes.Equal(was, is)
}
