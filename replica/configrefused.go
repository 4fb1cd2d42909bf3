package replica

import (
	"slices"
	"sync"
	"time"

	"github.com/pluginhost/pluginhost/config"
	"github.com/pluginhost/pluginhost/subjects"
)

// refusedConfig is what is wrong with the newest configuration, if it does not apply.
type refusedConfig struct {
	mu     sync.Mutex
	faults []string
}

// ConfigRefused notes why the newest configuration is not applied, for status and an event: one
// text for each fault. Without any, the newest applies again.
func (r *Replica) ConfigRefused(faults ...string) {
	shown := make([]string, min(len(faults), maxList))
	for i := range shown {
		shown[i] = cut(faults[i], maxText)
	}
	r.refused.mu.Lock()
	before := r.refused.faults
	r.refused.faults = shown
	r.refused.mu.Unlock()
	if slices.Equal(before, shown) {
		return
	}
	kind := subjects.EventConfigRefused
	if len(shown) == 0 {
		kind = subjects.EventConfigApplied
	}
	r.publish(kind, r.id, subjects.ConfigEvent{V: subjects.Version, Replica: r.id, Time: time.Now().UTC(), Faults: shown})
}

func (r *Replica) configFaults() []string {
	r.refused.mu.Lock()
	defer r.refused.mu.Unlock()
	return slices.Clone(r.refused.faults)
}

// warnUnmatched tells of settings of plugins that this replica does not have. While its
// plugins folder is away, or it has none at all, it does not know.
func (r *Replica) warnUnmatched(config *config.Config) {
	if !config.Plugins.Enabled || r.folderFault() != "" {
		return
	}
	var ids []string
	for _, h := range r.all() {
		ids = append(ids, h.id)
	}
	for _, section := range config.Unmatched(ids) {
		attributes := []any{"section", section.Section}
		if section.Meant != "" {
			attributes = append(attributes, "did_you_mean", section.Meant)
		}
		r.log.Warn("settings are for a plugin that is not here", attributes...)
	}
}
