package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/pelletier/go-toml/v2"

	"github.com/pluginhost/pluginhost/replica"
)

// setting ties a key of the file, and its flag and variable if it has them, to a field.
type setting struct {
	path []string // canonical spelling, sections first
	flag string
	env  string
	// field points to the field: *string, *bool, *int (a count), *int64 (a size in bytes), *time.Duration,
	// or to a pointer to one of them for a field that may be left out.
	field any
}

func (s setting) key() string { return replica.ConfigKey(s.path...) }

// settings lists every setting with a fixed path, in the order of the documentation, bound to the fields of c.
func settings(c *replica.Config) []setting {
	at := func(path ...string) []string { return path }
	return []setting{
		{path: at("Name"), flag: "name", env: "PLUGINHOST_NAME", field: &c.Name},
		{path: at("Data"), flag: "data", env: "PLUGINHOST_DATA", field: &c.Data},
		{path: at("Plugins", "Enabled"), field: &c.Plugins.Enabled},
		{path: at("Plugins", "Folder"), flag: "plugins", env: "PLUGINHOST_PLUGINS", field: &c.Plugins.Folder},
		{path: at("Plugins", "CacheSize"), field: &c.Plugins.CacheSize},
		{path: at("Plugins", "Watch"), field: &c.Plugins.Watch},
		{path: at("NATS", "URL"), flag: "nats", env: "PLUGINHOST_NATS", field: &c.NATS.URL},
		{path: at("NATS", "Creds"), flag: "creds", env: "PLUGINHOST_CREDS", field: &c.NATS.Creds},
		{path: at("NATS", "TLS", "CA"), field: &c.NATS.TLS.CA},
		{path: at("NATS", "TLS", "Cert"), field: &c.NATS.TLS.Cert},
		{path: at("NATS", "TLS", "Key"), field: &c.NATS.TLS.Key},
		{path: at("NATS", "Replicas"), field: &c.NATS.Replicas},
		{path: at("NATS", "Storage"), field: &c.NATS.Storage},
		{path: at("NATS", "Listen"), flag: "listen", env: "PLUGINHOST_LISTEN", field: &c.NATS.Listen},
		{path: at("NATS", "Token"), field: &c.NATS.Token},
		{path: at("Runtime", "Isolation"), field: &c.Runtime.Isolation},
		{path: at("Runtime", "PoolSize"), field: &c.Runtime.PoolSize},
		{path: at("Runtime", "InstanceTTL"), field: &c.Runtime.InstanceTTL},
		{path: at("Runtime", "MaxConcurrent"), field: &c.Runtime.MaxConcurrent},
		{path: at("Runtime", "Queue"), field: &c.Runtime.Queue},
		{path: at("Runtime", "Timeout"), field: &c.Runtime.Timeout},
		{path: at("Runtime", "MaxTimeout"), field: &c.Runtime.MaxTimeout},
		{path: at("Runtime", "InitTimeout"), field: &c.Runtime.InitTimeout},
		{path: at("Runtime", "MaxMemory"), field: &c.Runtime.MaxMemory},
		{path: at("Runtime", "HostMemory"), field: &c.Runtime.HostMemory},
		{path: at("Runtime", "CompileTimeout"), field: &c.Runtime.CompileTimeout},
		{path: at("Runtime", "CompileMemory"), field: &c.Runtime.CompileMemory},
		{path: at("Runtime", "CompileWorkers"), field: &c.Runtime.CompileWorkers},
		{path: at("Cache", "MaxValue"), field: &c.Cache.MaxValue},
		{path: at("Cache", "MaxEntries"), field: &c.Cache.MaxEntries},
		{path: at("Cache", "MaxBytes"), field: &c.Cache.MaxBytes},
		{path: at("Cache", "Copy"), field: &c.Cache.Copy},
		{path: at("Cache", "Staleness"), field: &c.Cache.Staleness},
		{path: at("Scheduler", "TimeZone"), field: &c.Scheduler.TimeZone},
		{path: at("Scheduler", "MaxSchedules"), field: &c.Scheduler.MaxSchedules},
		{path: at("Scheduler", "MaxPayload"), field: &c.Scheduler.MaxPayload},
		{path: at("WebSocket", "MaxConnections"), field: &c.WebSocket.MaxConnections},
		{path: at("WebSocket", "MaxMessage"), field: &c.WebSocket.MaxMessage},
		{path: at("WebSocket", "Ping"), field: &c.WebSocket.Ping},
		{path: at("Navidrome", "URL"), field: &c.Navidrome.URL},
		{path: at("Navidrome", "UserHeader"), field: &c.Navidrome.UserHeader},
		{path: at("Navidrome", "User"), field: &c.Navidrome.User},
		{path: at("Navidrome", "ArtworkListen"), field: &c.Navidrome.ArtworkListen},
		{path: at("Navidrome", "ShareURL"), field: &c.Navidrome.ShareURL},
		{path: at("Navidrome", "Artwork"), field: &c.Navidrome.Artwork},
		{path: at("Navidrome", "Subsonic"), field: &c.Navidrome.Subsonic},
		{path: at("HTTP", "Listen"), flag: "http", env: "PLUGINHOST_HTTP", field: &c.HTTP.Listen},
		{path: at("HTTP", "Token"), field: &c.HTTP.Token},
	}
}

// overrideSettings lists the keys of [Runtime.Plugin.<id>], bound to the fields of o.
func overrideSettings(id string, o *replica.RuntimeOverride) []setting {
	at := func(name string) []string { return []string{"Runtime", "Plugin", id, name} }
	return []setting{
		{path: at("Isolation"), field: &o.Isolation},
		{path: at("PoolSize"), field: &o.PoolSize},
		{path: at("InstanceTTL"), field: &o.InstanceTTL},
		{path: at("MaxConcurrent"), field: &o.MaxConcurrent},
		{path: at("Queue"), field: &o.Queue},
		{path: at("Timeout"), field: &o.Timeout},
		{path: at("MaxTimeout"), field: &o.MaxTimeout},
		{path: at("InitTimeout"), field: &o.InitTimeout},
		{path: at("MaxMemory"), field: &o.MaxMemory},
	}
}

// convert turns a value of the file into the type of the field. Otherwise problem says what is wrong with it, without
// quoting text from a field that may hold a secret.
func (s setting) convert(value any) (converted any, problem string) {
	switch s.field.(type) {
	case *string, **string:
		if text, ok := value.(string); ok {
			return text, ""
		}
		return nil, fmt.Sprintf("%s is not allowed; it takes a string in quotes", kindOf(value))
	case *bool, **bool:
		if yes, ok := value.(bool); ok {
			return yes, ""
		}
		return nil, fmt.Sprintf("%s is not allowed; it takes true or false without quotes", kindOf(value))
	case *int, **int:
		if n, ok := value.(int64); ok && n >= math.MinInt32 && n <= math.MaxInt32 {
			return int(n), ""
		} else if ok {
			return nil, fmt.Sprintf("%d is out of range; it takes a small whole number", n)
		}
		return nil, fmt.Sprintf("%s is not allowed; it takes a whole number without quotes", kindOf(value))
	case *int64, **int64:
		switch size := value.(type) {
		case int64:
			return size, ""
		case string:
			return convertSize(size)
		}
		return nil, fmt.Sprintf("%s is not allowed; it takes a size such as \"100MB\", or a whole number of bytes", kindOf(value))
	case *time.Duration, **time.Duration:
		if text, ok := value.(string); ok {
			return convertDuration(text)
		}
		return nil, fmt.Sprintf("%s is not allowed; it takes a duration in quotes, such as \"10s\" or \"1m30s\"", kindOf(value))
	}
	return nil, fmt.Sprintf("has a field of type %T, which no key can set", s.field)
}

func convertSize(text string) (any, string) {
	// A comma would be taken for a thousands separator: "1,5GB" would mean 15 GB.
	bytes, err := humanize.ParseBytes(text)
	if err != nil || bytes > math.MaxInt64 || strings.ContainsRune(text, ',') {
		return nil, quoteValue(text) + " is no size; it takes one such as \"100MB\" (1000 * 1000 bytes) or \"64MiB\" (1024 * 1024)"
	}
	return int64(bytes), ""
}

func convertDuration(text string) (any, string) {
	d, err := time.ParseDuration(text)
	if err != nil {
		return nil, quoteValue(text) + " is no duration; it takes one such as \"10s\" or \"1m30s\""
	}
	return d, ""
}

// assign sets the field to what convert returned.
func (s setting) assign(value any) {
	switch field := s.field.(type) {
	case *string:
		setField(field, value)
	case *bool:
		setField(field, value)
	case *int:
		setField(field, value)
	case *int64:
		setField(field, value)
	case *time.Duration:
		setField(field, value)
	case **string:
		*field = pointerTo[string](value)
	case **int:
		*field = pointerTo[int](value)
	case **int64:
		*field = pointerTo[int64](value)
	case **time.Duration:
		*field = pointerTo[time.Duration](value)
	}
}

func setField[T any](field *T, value any) {
	if typed, ok := value.(T); ok {
		*field = typed
	}
}

func pointerTo[T any](value any) *T {
	typed, ok := value.(T)
	if !ok {
		return nil
	}
	return &typed
}

// kindOf names the kind of a TOML value.
func kindOf(value any) string {
	switch value.(type) {
	case string:
		return "a string"
	case bool:
		return "a boolean"
	case int64:
		return "a whole number"
	case float64:
		return "a decimal number"
	case map[string]any:
		return "a section"
	case []any:
		return "a list"
	case time.Time, toml.LocalDate, toml.LocalDateTime, toml.LocalTime:
		return "a date or time"
	}
	return fmt.Sprintf("of type %T", value)
}

// quoteValue quotes text from outside on one line, cut when very long.
func quoteValue(text string) string {
	const most = 80 // characters
	runes := []rune(text)
	if len(runes) > most {
		return strconv.Quote(string(runes[:most])) + "…"
	}
	return strconv.Quote(text)
}

// namesIn lists the keys and sections directly below path, keys first.
func namesIn(all []setting, path []string) (keys, sections []string) {
	depth := len(path)
	for _, s := range all {
		if len(s.path) <= depth || !slices.Equal(s.path[:depth], path) {
			continue
		}
		name := s.path[depth]
		switch {
		case len(s.path) == depth+1:
			keys = append(keys, name)
		case !slices.Contains(sections, name):
			sections = append(sections, name)
		}
	}
	return keys, sections
}
