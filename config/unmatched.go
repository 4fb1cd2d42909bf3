package config

import (
	"fmt"
	"maps"
	"slices"

	"github.com/pluginhost/pluginhost/internal/nearest"
	"github.com/pluginhost/pluginhost/internal/regular"
	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/sdk/excerpt"
)

// Unmatched is a section with the settings of a plugin that is not there.
type Unmatched struct {
	// Section is its path as Section writes it.
	Section string
	// Meant is the id of the plugin that it may be for; empty is none that is like it.
	Meant string
}

// Unmatched returns the sections for plugins that are not among ids, in their order. Case
// does not matter.
func (c *Config) Unmatched(ids []string) (sections []Unmatched) {
	there := make(map[string]bool, len(ids))
	for _, id := range ids {
		there[plugin.FoldID(id)] = true
	}
	add := func(id string, path ...string) {
		if !there[plugin.FoldID(id)] {
			sections = append(sections, Unmatched{Section(append(path, id)...), nearest.To(id, ids)})
		}
	}
	for _, id := range slices.Sorted(maps.Keys(c.PluginConfig)) {
		add(id, pluginConfigSection)
	}
	for _, id := range slices.Sorted(maps.Keys(c.Runtime.Plugin)) {
		add(id, "Runtime", pluginSection)
	}
	for _, id := range slices.Sorted(maps.Keys(c.Scrobbles.Plugin)) {
		add(id, "Scrobbles", pluginSection)
	}
	return sections
}

// Warning is what is no fault and most likely not meant.
type Warning struct {
	// At is the file, or a section in it.
	At   string
	Text string
}

// Warnings looks at the file and the plugins folder of a configuration that Source.Load has returned.
func (c *Config) Warnings() (found []Warning) {
	if content, err := regular.Read(c.File, maxFile); c.File != "" && err == nil && isBlank(content) {
		found = append(found, Warning{c.File, "it is empty: serve starts with all defaults, and a replica that runs does not take it up"})
	}
	survey, err := plugin.Look(c.Plugins.Folder)
	if err != nil {
		return found // without a folder nothing is known of plugins
	}
	var ids []string
	for _, seen := range survey.Sightings {
		ids = append(ids, seen.ID)
	}
	for _, section := range c.Unmatched(ids) {
		text := fmt.Sprintf("there is no such plugin in %s, unless it is installed for the cluster", c.Plugins.Folder)
		if section.Meant != "" {
			text += "; did you mean " + excerpt.Quoted(section.Meant) + "?"
		}
		found = append(found, Warning{c.File + ": " + section.Section, text})
	}
	return found
}
