package replica

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
)

// Reconfigured says what another configuration has changed.
type Reconfigured struct {
	// Loaded are the ids of the plugins that have a new generation, Failed those
	// that could not be loaded with it and go on with the former one, in order.
	Loaded, Failed []string
	// Restart has the keys of settings that are different and apply only after a
	// restart, as ConfigKey writes them.
	Restart []string
}

// Reconfigure applies another configuration: plugins for which something has
// changed are loaded anew, and no others. Settings that cannot change while the
// replica runs stay as they are. A configuration that is not valid changes
// nothing and is a *ConfigError, as is one that needs a restart to be valid. It
// waits for the plugins or for ctx.
func (r *Replica) Reconfigure(ctx context.Context, config Config) (Reconfigured, error) {
	var result Reconfigured
	if err := config.Validate(); err != nil {
		return result, err
	}
	r.reconfiguring.Lock()
	defer r.reconfiguring.Unlock()
	running := r.config.Load()
	result.Restart = config.keepFixed(running)
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
func (h *hosted) isAffected(before, after *Config) bool {
	manifest := h.shown().entry.Manifest
	was, errWas := effectiveSettings(before, h.id, manifest)
	is, errIs := effectiveSettings(after, h.id, manifest)
	return errWas != nil || errIs != nil || !bytes.Equal(was, is)
}

// keepFixed takes over what cannot change while a replica runs, and returns the
// keys of what differed.
func (c *Config) keepFixed(running *Config) (changed []string) {
	keep(&changed, &c.Name, running.Name, "Name")
	keep(&changed, &c.Data, running.Data, "Data")
	keep(&changed, &c.Plugins.Enabled, running.Plugins.Enabled, "Plugins", "Enabled")
	keep(&changed, &c.Plugins.Folder, running.Plugins.Folder, "Plugins", "Folder")
	keep(&changed, &c.Plugins.CacheSize, running.Plugins.CacheSize, "Plugins", "CacheSize")
	keep(&changed, &c.Plugins.Watch, running.Plugins.Watch, "Plugins", "Watch")
	keep(&changed, &c.NATS.URL, running.NATS.URL, "NATS", "URL")
	keep(&changed, &c.NATS.Creds, running.NATS.Creds, "NATS", "Creds")
	keep(&changed, &c.NATS.TLS.CA, running.NATS.TLS.CA, "NATS", "TLS", "CA")
	keep(&changed, &c.NATS.TLS.Cert, running.NATS.TLS.Cert, "NATS", "TLS", "Cert")
	keep(&changed, &c.NATS.TLS.Key, running.NATS.TLS.Key, "NATS", "TLS", "Key")
	keep(&changed, &c.NATS.Replicas, running.NATS.Replicas, "NATS", "Replicas")
	keep(&changed, &c.NATS.Storage, running.NATS.Storage, "NATS", "Storage")
	keep(&changed, &c.NATS.Listen, running.NATS.Listen, "NATS", "Listen")
	keep(&changed, &c.NATS.Token, running.NATS.Token, "NATS", "Token")
	keep(&changed, &c.Runtime.HostMemory, running.Runtime.HostMemory, "Runtime", "HostMemory")
	keep(&changed, &c.Runtime.CompileTimeout, running.Runtime.CompileTimeout, "Runtime", "CompileTimeout")
	keep(&changed, &c.Runtime.CompileMemory, running.Runtime.CompileMemory, "Runtime", "CompileMemory")
	keep(&changed, &c.Runtime.CompileWorkers, running.Runtime.CompileWorkers, "Runtime", "CompileWorkers")
	keep(&changed, &c.Cache.Copy, running.Cache.Copy, "Cache", "Copy")
	keep(&changed, &c.Cache.Staleness, running.Cache.Staleness, "Cache", "Staleness")
	keep(&changed, &c.Navidrome.ShareURL, running.Navidrome.ShareURL, "Navidrome", "ShareURL")
	keep(&changed, &c.Navidrome.ArtworkListen, running.Navidrome.ArtworkListen, "Navidrome", "ArtworkListen")
	keep(&changed, &c.Navidrome.Artwork, running.Navidrome.Artwork, "Navidrome", "Artwork")
	keep(&changed, &c.HTTP.Listen, running.HTTP.Listen, "HTTP", "Listen")
	keep(&changed, &c.HTTP.Token, running.HTTP.Token, "HTTP", "Token")
	c.compiler = running.compiler
	c.pace, c.onLook, c.away = running.pace, running.onLook, running.away
	return changed
}

func keep[T comparable](changed *[]string, value *T, running T, key ...string) {
	if *value != running {
		*changed = append(*changed, ConfigKey(key...))
		*value = running
	}
}
