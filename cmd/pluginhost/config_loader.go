package main

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
	"github.com/spf13/pflag"

	"github.com/pluginhost/pluginhost/internal/regular"
	"github.com/pluginhost/pluginhost/replica"
)

const (
	// pathDelimiter joins key paths inside koanf. The byte is not valid in UTF-8, so no key of a file contains it.
	pathDelimiter  = "\xff"
	maxConfigFile  = 256 << 10 // bytes; the parser's time grows with the square of the number of keys
	maxConfigDepth = 16        // sections within sections
)

// configLoader lays flags over environment over file over defaults, and remembers where each value came from.
type configLoader struct {
	flags    *pflag.FlagSet
	env      func(string) (string, bool)
	config   replica.Config
	settings []setting
	values   *koanf.Koanf
	file     string            // name of the file that was read, empty for none
	origin   map[string]string // key to where its value was given; keys left at their defaults are missing
	faults   []configFault
	// emptied says that the file had something in it when it was applied last: it is a fault if it is empty now.
	emptied bool
}

func newConfigLoader(flags *pflag.FlagSet, env func(string) (string, bool)) *configLoader {
	l := &configLoader{
		flags:  flags,
		env:    env,
		config: replica.DefaultConfig(),
		values: koanf.New(pathDelimiter),
		origin: map[string]string{},
	}
	l.settings = settings(&l.config)
	return l
}

// load reads all sources. The faults found are in l.faults; what was fine is in l.config.
func (l *configLoader) load() {
	if name, data, ok := l.readFile(); ok {
		l.addFile(name, data)
	}
	l.addEnvironment()
	l.addFlags()
	l.fill()
}

func (l *configLoader) fault(key, where, text string) {
	l.faults = append(l.faults, configFault{key: key, where: where, text: text})
}

func (l *configLoader) structural(where, format string, args ...any) {
	l.faults = append(l.faults, configFault{where: where, text: fmt.Sprintf(format, args...), structural: true})
}

// inFile is the place of a key or section of the file in a fault.
func (l *configLoader) inFile(key string) string { return l.file + ": " + key }

// where is the place of a key in a fault: what to change to change its value.
func (l *configLoader) where(key string) string {
	given, ok := l.origin[key]
	switch {
	case ok:
		return given
	case l.file != "":
		return l.inFile(key) + " (default)"
	}
	return key + " (default)"
}

// configFile is the file that was asked for, and by what; or the one in the working directory.
func configFile(flags *pflag.FlagSet, env func(string) (string, bool)) (name, asked string) {
	if flag := flags.Lookup("config"); flag != nil && flag.Changed && flag.Value.String() != "" {
		return flag.Value.String(), "--config"
	}
	if value, given := env("PLUGINHOST_CONFIG"); given && value != "" {
		return value, "PLUGINHOST_CONFIG"
	}
	return defaultConfigFile, ""
}

// readFile reads the file that was asked for, or the one in the working directory if there is one.
func (l *configLoader) readFile() (name string, data []byte, ok bool) {
	name, asked := configFile(l.flags, l.env)
	where := asked
	if asked == "" {
		where = defaultConfigFile
	}
	data, err := regular.Read(name, maxConfigFile+1)
	switch {
	case errors.Is(err, fs.ErrNotExist) && asked == "":
		return "", nil, false
	case err != nil:
		l.structural(where, "cannot read the configuration: %s", oneLine(err.Error()))
		return "", nil, false
	case len(data) > maxConfigFile:
		l.structural(where, "cannot read the configuration: %s is larger than %d bytes", oneLine(name), maxConfigFile)
		return "", nil, false
	}
	return name, data, true
}

// addFile checks a file key by key and adds what is right in it.
func (l *configLoader) addFile(name string, data []byte) {
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
func (l *configLoader) addTable(layer map[string]any, path []string, table map[string]any) {
	keys, sections := namesIn(l.settings, path)
	switch {
	case len(path) == 0:
		sections = slices.Insert(sections, 1, pluginConfigSection)
	case path[0] == "Runtime":
		sections = append(sections, runtimePluginSection)
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
			l.structural(l.inFile(replica.ConfigKey(place...)), "the same as %s, as case does not matter here; keep one of them", twin)
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
		case !isTable:
			l.structural(l.inFile(replica.ConfigKey(place...)), "%s is not allowed; this is a section, written as %s", kindOf(table[written]), replica.ConfigSection(place...))
		case name == pluginConfigSection:
			l.addPluginConfig(layer, below)
		case name == runtimePluginSection:
			l.addOverrides(layer, below)
		default:
			l.addTable(layer, place, below)
		}
	}
}

func (l *configLoader) addValue(layer map[string]any, s setting, value any) {
	converted, problem := s.convert(value)
	l.origin[s.key()] = l.inFile(s.key())
	if problem != "" {
		l.fault(s.key(), l.inFile(s.key()), problem)
		return
	}
	put(layer, s.path, converted)
}

func (l *configLoader) setting(path []string) setting {
	i := slices.IndexFunc(l.settings, func(s setting) bool { return slices.Equal(s.path, path) })
	return l.settings[i]
}

// unknown reports a key or section that has no meaning at path.
func (l *configLoader) unknown(path []string, value any, keys, sections []string) {
	parent, written := path[:len(path)-1], path[len(path)-1]
	var allowed []allowedName
	for _, key := range keys {
		allowed = append(allowed, allowedName{name: key, shown: key})
	}
	for _, section := range sections {
		place := append(slices.Clone(parent), section)
		if section == pluginConfigSection || section == runtimePluginSection {
			place = append(place, "<id>")
		}
		allowed = append(allowed, allowedName{name: section, shown: "[" + strings.Join(place, ".") + "]"})
	}
	if _, isTable := value.(map[string]any); isTable {
		l.structural(l.inFile(replica.ConfigSection(path...)), "%s", unknownText("section", written, allowed))
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
	l.structural(l.inFile(replica.ConfigKey(path...)), "%s", text)
}

// addEnvironment adds the variables of the settings, and looks at no others.
func (l *configLoader) addEnvironment() {
	layer := map[string]any{}
	for _, s := range l.settings {
		if s.env == "" {
			continue
		}
		if value, given := l.env(s.env); given {
			l.origin[s.key()] = s.env
			put(layer, s.path, value)
		}
	}
	l.merge(layer)
}

// addFlags adds the flags that were given. A command need not have all of them.
func (l *configLoader) addFlags() {
	layer := map[string]any{}
	for _, s := range l.settings {
		if flag := l.flags.Lookup(s.flag); s.flag != "" && flag != nil && flag.Changed {
			l.origin[s.key()] = "--" + s.flag
			put(layer, s.path, flag.Value.String())
		}
	}
	l.merge(layer)
}

func (l *configLoader) merge(layer map[string]any) {
	if err := l.values.Load(confmap.Provider(layer, ""), nil); err != nil {
		l.structural("configuration", "cannot be put together: %v", err)
	}
}

// fill sets the fields of l.config from the merged values.
func (l *configLoader) fill() {
	for _, s := range l.settings {
		if key := strings.Join(s.path, pathDelimiter); l.values.Exists(key) {
			s.assign(l.values.Get(key))
		}
	}
	l.fillPluginConfig()
	l.fillOverrides()
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
