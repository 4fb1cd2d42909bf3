package config

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/pluginhost/pluginhost/sdk/excerpt"
)

// The sections that have one section for each plugin.
const (
	pluginConfigSection = "PluginConfig" // at the top
	pluginSection       = "Plugin"       // in [Runtime] and in [Scrobbles]
)

// pluginTable is what stands in the section of one plugin, sub-sections left out.
type pluginTable struct {
	id     string
	values map[string]any
}

// pluginTables collects the sections below path. TOML cannot tell a plugin id with dots from sections in sections, so
// the names of nested sections are joined with dots: [PluginConfig."my.plugin"] is [PluginConfig.my.plugin].
func (l *loader) pluginTables(path []string, table map[string]any) []pluginTable {
	within := func(id string) []string { return append(slices.Clone(path), id) }
	for _, name := range slices.Sorted(maps.Keys(table)) {
		if _, isTable := table[name].(map[string]any); !isTable {
			key := Key(within(name)...)
			l.fault(key, l.inFile(key), kindOf(table[name])+" is not allowed; only sections with a plugin id stand here, such as "+Section(within("my-plugin")...))
		}
	}
	var found []pluginTable
	seen := map[string]string{}
	l.collectTables(path, nil, table, func(id string, values map[string]any) {
		key := Section(within(id)...)
		twin, twice := seen[strings.ToLower(id)]
		switch {
		case id == "":
			l.fault(key, l.inFile(key), "the plugin id is empty; write "+Section(within("my-plugin")...))
		case twice && twin == id:
			l.fault(key, l.inFile(key), "there is another section for this plugin, with or without quotes around its id; keep one of them")
		case twice:
			l.fault(key, l.inFile(key), "the same plugin as "+excerpt.Quoted(twin)+", as case does not matter here; keep one of them")
		default:
			seen[strings.ToLower(id)] = id
			found = append(found, pluginTable{id: id, values: values})
		}
	})
	return found
}

// collectTables calls each for every section below that has values or nothing at all; names are the parts of its id.
func (l *loader) collectTables(path, names []string, table map[string]any, each func(id string, values map[string]any)) {
	if len(names) > maxDepth {
		key := Section(append(slices.Clone(path), names[0])...)
		l.fault(key, l.inFile(key), fmt.Sprintf("more than %d sections within each other", maxDepth))
		return
	}
	values := map[string]any{}
	below := map[string]map[string]any{}
	for key, value := range table {
		if sub, isTable := value.(map[string]any); isTable {
			below[key] = sub
		} else {
			values[key] = value
		}
	}
	if len(names) > 0 && (len(values) > 0 || len(below) == 0) {
		each(strings.Join(names, "."), values)
	}
	for _, name := range slices.Sorted(maps.Keys(below)) {
		l.collectTables(path, append(slices.Clone(names), name), below[name], each)
	}
}

// addPluginConfig checks [PluginConfig]: any id and any key, keys in lower case, values as plugins expect them.
func (l *loader) addPluginConfig(layer map[string]any, table map[string]any) {
	for _, plugin := range l.pluginTables([]string{pluginConfigSection}, table) {
		seen := map[string]string{}
		for _, written := range slices.Sorted(maps.Keys(plugin.values)) {
			path := []string{pluginConfigSection, plugin.id, strings.ToLower(written)}
			key := Key(path...)
			place := l.inFile(Key(pluginConfigSection, plugin.id, written))
			if twin, twice := seen[path[2]]; twice {
				l.fault(key, place, "the same entry as "+excerpt.Quoted(twin)+", as case does not matter here; keep one of them")
				continue
			}
			seen[path[2]] = written
			text, ok := entryText(plugin.values[written])
			if !ok {
				l.fault(key, place, fmt.Sprintf("%s is not allowed; it takes a string, a number, true or false", kindOf(plugin.values[written])))
				continue
			}
			l.origin[key] = place
			put(layer, path, text)
		}
	}
}

// entryText is how plugins have always received a scalar of the file.
func entryText(value any) (string, bool) {
	switch v := value.(type) {
	case string:
		return v, true
	case bool:
		if v {
			return "1", true
		}
		return "0", true
	case int64:
		return strconv.FormatInt(v, 10), true
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true
	}
	return "", false
}

// addOverrides checks [Runtime.Plugin].
func (l *loader) addOverrides(layer map[string]any, table map[string]any) {
	known := func(id string) []setting { return overrideSettings(id, new(RuntimeOverride)) }
	l.addPluginSettings(layer, []string{"Runtime", pluginSection}, table, known, func(written string, names []string) string {
		all, _ := namesIn(l.settings, []string{"Runtime"})
		if name, ok := sameName(all, written); ok {
			return fmt.Sprintf("%s is for all plugins together; one plugin can have its own %s", name, strings.Join(names, ", "))
		}
		return unknownText("key", written, shownAs(names))
	})
}

// addWords checks [Scrobbles.Plugin].
func (l *loader) addWords(layer map[string]any, table map[string]any) {
	known := func(id string) []setting { return wordSettings(id, new(ScrobbleWords)) }
	l.addPluginSettings(layer, []string{"Scrobbles", pluginSection}, table, known, func(written string, names []string) string {
		return unknownText("key", written, shownAs(names))
	})
}

// addPluginSettings checks the sections at path, one for each plugin, whose keys are the known ones; unknown says what
// would be right instead of another.
func (l *loader) addPluginSettings(layer map[string]any, path []string, table map[string]any,
	known func(id string) []setting, unknown func(written string, names []string) string) {
	for _, plugin := range l.pluginTables(path, table) {
		section := append(slices.Clone(path), plugin.id)
		settings := known(plugin.id)
		names, _ := namesIn(settings, section)
		seen := map[string]string{}
		for _, written := range slices.Sorted(maps.Keys(plugin.values)) {
			place := l.inFile(Key(append(slices.Clone(section), written)...))
			name, ok := sameName(names, written)
			twin, twice := seen[name]
			switch {
			case !ok:
				l.structural(place, "%s", unknown(written, names))
			case twice:
				l.structural(place, "the same as %s, as case does not matter here; keep one of them", twin)
			default:
				seen[name] = written
				l.addValue(layer, settings[slices.Index(names, name)], plugin.values[written])
			}
		}
	}
}

// fillPluginConfig copies the merged entries. A section without entries is no different from none.
func (l *loader) fillPluginConfig() {
	for _, id := range l.values.MapKeys(pluginConfigSection) {
		entries := map[string]string{}
		section, _ := l.values.Get(pluginConfigSection + pathDelimiter + id).(map[string]any)
		for key, value := range section {
			if text, ok := value.(string); ok {
				entries[key] = text
			}
		}
		if l.config.PluginConfig == nil {
			l.config.PluginConfig = map[string]map[string]string{}
		}
		l.config.PluginConfig[id] = entries
	}
}

// mergedSections returns the merged sections at path, one for each plugin, with the known settings; nil is none.
func mergedSections[V any](l *loader, known func(id string, section *V) []setting, path ...string) map[string]V {
	var sections map[string]V
	for _, id := range l.values.MapKeys(strings.Join(path, pathDelimiter)) {
		var section V
		for _, s := range known(id, &section) {
			if key := strings.Join(s.path, pathDelimiter); l.values.Exists(key) {
				s.set(l.values.Get(key))
			}
		}
		if sections == nil {
			sections = map[string]V{}
		}
		sections[id] = section
	}
	return sections
}
