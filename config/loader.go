package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	tomlparser "github.com/knadh/koanf/parsers/toml/v2"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"
	"github.com/pelletier/go-toml/v2"

	"github.com/pluginhost/pluginhost/internal/regular"
)

const (
	// pathDelimiter joins key paths inside koanf. The byte is not valid in UTF-8, so no key of a file contains it.
	pathDelimiter = "\xff"
	maxFile       = 4 << 20 // bytes; 10,000 users take a quarter of it to a half
	maxDepth      = 16      // sections within sections
)

// loader lays flags over variables over the file over defaults, and remembers where each value came from.
type loader struct {
	sources  Sources
	config   Config
	settings []setting
	values   *koanf.Koanf
	file     string            // name of the file that was read, empty for none
	origin   map[string]string // key to where its value was given; keys left at their defaults are missing
	faults   []*Fault
	// emptied says that the file had something in it when it was applied last: it is a fault if it is empty now.
	emptied bool
}

func newLoader(sources Sources) *loader {
	l := &loader{
		sources: sources,
		config:  Default(),
		values:  koanf.New(pathDelimiter),
		origin:  map[string]string{},
	}
	l.settings = settings(&l.config)
	return l
}

// load reads all sources. The faults found are in l.faults; what was fine is in l.config.
func (l *loader) load() {
	if name, data, ok := l.readFile(); ok {
		l.addFile(name, data)
	}
	l.addEnvironment()
	l.addFlags()
	l.fill()
}

func (l *loader) fault(key, where, text string) {
	l.faults = append(l.faults, &Fault{Key: key, At: where, Text: text})
}

func (l *loader) structural(where, format string, args ...any) {
	l.faults = append(l.faults, &Fault{At: where, Text: fmt.Sprintf(format, args...), structural: true})
}

// inFile is the place of a key or section of the file in a fault.
func (l *loader) inFile(key string) string { return l.file + ": " + key }

// where is the place of a key in a fault: what to change to change its value.
func (l *loader) where(key string) string {
	given, ok := l.origin[key]
	switch {
	case ok:
		return given
	case l.file != "":
		return l.inFile(key) + " (default)"
	}
	return key + " (default)"
}

// readFile reads the file that was asked for, or the one in the working directory if there is one.
func (l *loader) readFile() (name string, data []byte, ok bool) {
	name, asked := l.sources.file()
	where := asked
	if asked == "" {
		where = DefaultFile
	}
	data, err := regular.Read(name, maxFile+1)
	switch {
	case errors.Is(err, fs.ErrNotExist) && asked == "":
		return "", nil, false
	case err != nil:
		l.structural(where, "cannot read the configuration: %s", oneLine(err.Error()))
		return "", nil, false
	case len(data) > maxFile:
		l.structural(where, "cannot read the configuration: %s is larger than %d bytes", oneLine(name), maxFile)
		return "", nil, false
	}
	return name, data, true
}

// addFile checks a file key by key and adds what is right in it.
func (l *loader) addFile(name string, data []byte) {
	name = oneLine(name)
	l.file, l.config.File = name, name
	data = bytes.TrimPrefix(data, []byte("\ufeff")) // some editors put it there
	if l.emptied && isBlank(data) {
		l.structural(name, "the file is empty: what was in it before goes on to apply; for all defaults write a comment into it, or restart the replica")
		return
	}
	if at := invalidUTF8(data); at >= 0 {
		l.structural(name, "line %d: not UTF-8 text", 1+bytes.Count(data[:at], []byte("\n")))
		return
	}
	if takesTooLong(data) {
		l.structural(name, "the file has too many keys and sections; it takes %d [[%s]] and some 10,000 keys besides", maxUsers, usersSection)
		return
	}
	table, err := tomlparser.Parser().Unmarshal(data)
	if err != nil {
		var position *toml.DecodeError
		if errors.As(err, &position) {
			line, column := position.Position()
			l.structural(name, "line %d, column %d: %s", line, column, oneLine(position.Error()))
			return
		}
		l.structural(name, "%s", oneLine(err.Error()))
		return
	}
	layer := map[string]any{}
	l.addTable(layer, nil, table)
	l.merge(layer)
}

// addTable checks a section whose keys are fixed. Names of keys and sections match whatever their case.
func (l *loader) addTable(layer map[string]any, path []string, table map[string]any) {
	keys, sections := namesIn(l.settings, path)
	switch {
	case len(path) == 0:
		sections = append(slices.Insert(sections, 1, pluginConfigSection), usersSection)
	case path[0] == "Runtime", path[0] == "Scrobbles":
		sections = append(sections, pluginSection)
	}
	seen := map[string]string{}
	for _, written := range slices.Sorted(maps.Keys(table)) {
		name, known := sameName(append(slices.Clone(keys), sections...), written)
		place := append(slices.Clone(path), written)
		if !known {
			l.unknown(place, table[written], keys, sections)
			continue
		}
		if twin, twice := seen[name]; twice {
			l.structural(l.inFile(Key(place...)), "the same as %s, as case does not matter here; keep one of them", twin)
			continue
		}
		seen[name] = written
		place[len(path)] = name
		if slices.Contains(keys, name) {
			l.addValue(layer, l.setting(place), table[written])
			continue
		}
		below, isTable := table[written].(map[string]any)
		switch {
		case name == usersSection:
			l.addUsers(table[written])
		case !isTable:
			l.structural(l.inFile(Key(place...)), "%s is not allowed; this is a section, written as %s", kindOf(table[written]), Section(place...))
		case name == pluginConfigSection:
			l.addPluginConfig(layer, below)
		case name == pluginSection && path[0] == "Runtime":
			l.addOverrides(layer, below)
		case name == pluginSection:
			l.addWords(layer, below)
		default:
			l.addTable(layer, place, below)
		}
	}
}

func (l *loader) addValue(layer map[string]any, s setting, value any) {
	converted, problem := s.convert(value)
	l.origin[s.key()] = l.inFile(s.key())
	if problem != "" {
		l.fault(s.key(), l.inFile(s.key()), problem)
		return
	}
	put(layer, s.path, converted)
}

func (l *loader) setting(path []string) setting {
	i := slices.IndexFunc(l.settings, func(s setting) bool { return slices.Equal(s.path, path) })
	return l.settings[i]
}

// unknown reports a key or section that has no meaning at path.
func (l *loader) unknown(path []string, value any, keys, sections []string) {
	parent, written := path[:len(path)-1], path[len(path)-1]
	allowed := shownAs(keys)
	for _, section := range sections {
		place := append(slices.Clone(parent), section)
		if section == pluginConfigSection || section == pluginSection {
			place = append(place, "<id>")
		}
		shown := "[" + strings.Join(place, ".") + "]"
		if section == usersSection {
			shown = "[" + shown + "]"
		}
		allowed = append(allowed, allowedName{name: section, shown: shown})
	}
	if place, isSection := sectionAt(path, value); isSection {
		l.structural(l.inFile(place), "%s", unknownText("section", written, allowed))
		return
	}
	var elsewhere []string
	for _, s := range l.settings {
		if strings.EqualFold(s.path[len(s.path)-1], written) {
			elsewhere = append(elsewhere, s.key())
		}
	}
	text := unknownText("key", written, allowed)
	if len(elsewhere) > 0 {
		text = "unknown key here; did you mean " + strings.Join(elsewhere, " or ") + "?"
	}
	l.structural(l.inFile(Key(path...)), "%s", text)
}

// sectionAt writes the path of a value that is a section or a list of sections.
func sectionAt(path []string, value any) (place string, isSection bool) {
	if list, isList := value.([]any); isList && len(list) > 0 {
		_, isSection = list[0].(map[string]any)
		return "[" + Section(path...) + "]", isSection
	}
	_, isSection = value.(map[string]any)
	return Section(path...), isSection
}

// addEnvironment adds the variables of the settings, and looks at no others.
func (l *loader) addEnvironment() {
	layer := map[string]any{}
	for _, s := range l.settings {
		if s.flag == "" {
			continue
		}
		if value, given := l.sources.Env(s.variable()); given {
			l.origin[s.key()] = s.variable()
			put(layer, s.path, value)
		}
	}
	l.merge(layer)
}

// addFlags adds the flags that were given. A command need not have all of them.
func (l *loader) addFlags() {
	layer := map[string]any{}
	for _, s := range l.settings {
		if s.flag == "" {
			continue
		}
		if value, given := l.sources.Flag(s.flag); given {
			l.origin[s.key()] = "--" + s.flag
			put(layer, s.path, value)
		}
	}
	l.merge(layer)
}

func (l *loader) merge(layer map[string]any) {
	if err := l.values.Load(confmap.Provider(layer, ""), nil); err != nil {
		l.structural("configuration", "cannot be put together: %v", err)
	}
}

// fill sets the fields of l.config from the merged values.
func (l *loader) fill() {
	for _, s := range l.settings {
		if key := strings.Join(s.path, pathDelimiter); l.values.Exists(key) {
			s.set(l.values.Get(key))
		}
	}
	l.fillPluginConfig()
	l.config.Runtime.Plugin = mergedSections(l, overrideSettings, "Runtime", pluginSection)
	l.config.Scrobbles.Plugin = mergedSections(l, wordSettings, "Scrobbles", pluginSection)
}

// validate adds the faults of the values, save those that only follow from one that is listed already.
func (l *loader) validate() {
	listed := map[string]bool{}
	for _, fault := range l.faults {
		listed[fault.Key] = true
	}
	if l.config.Data == "" && l.config.Plugins.Folder == "" {
		listed[Key("Plugins", "Folder")] = true
	}
	delete(listed, "") // structural faults, which have no key
	var invalid *InvalidError
	if !errors.As(l.config.Validate(), &invalid) {
		return
	}
	for _, fault := range invalid.Faults {
		if !listed[fault.Key] && !listed[fault.Against] {
			fault.At = l.where(fault.Key)
			l.faults = append(l.faults, fault)
		}
	}
}

// put sets a value in nested maps, which it makes as needed.
func put(layer map[string]any, path []string, value any) {
	for _, section := range path[:len(path)-1] {
		below, ok := layer[section].(map[string]any)
		if !ok {
			below = map[string]any{}
			layer[section] = below
		}
		layer = below
	}
	layer[path[len(path)-1]] = value
}

// isBlank says whether there is nothing in a file, not even a comment.
func isBlank(data []byte) bool {
	return len(bytes.TrimSpace(bytes.TrimPrefix(data, []byte("\ufeff")))) == 0
}

func sameName(known []string, written string) (string, bool) {
	i := slices.IndexFunc(known, func(name string) bool { return strings.EqualFold(name, written) })
	if i < 0 {
		return "", false
	}
	return known[i], true
}

// invalidUTF8 returns where data stops to be UTF-8, or -1.
func invalidUTF8(data []byte) int {
	for at := 0; at < len(data); {
		r, size := utf8.DecodeRune(data[at:])
		if r == utf8.RuneError && size == 1 {
			return at
		}
		at += size
	}
	return -1
}

// oneLine keeps a foreign error text from breaking the list of faults.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text)
}
