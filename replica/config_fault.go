package replica

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// ConfigFault is one thing that is wrong with a Config.
type ConfigFault struct {
	// Key names the setting as the file does: "[Runtime] PoolSize". ConfigKey makes it.
	Key string
	// Text says which value is bad and what is allowed. It never has a token or a password in it.
	Text string
	// Against is the key of the setting that Key does not go together with; empty when the value is bad by itself.
	Against string
}

// Error is the key and the text.
func (f *ConfigFault) Error() string { return f.Key + ": " + f.Text }

// ConfigError has all faults of a Config in the order of its fields, at least one.
type ConfigError struct {
	Faults []*ConfigFault
}

// Error has one line for each fault.
func (e *ConfigError) Error() string {
	lines := make([]string, len(e.Faults))
	for i, fault := range e.Faults {
		lines[i] = fault.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives the faults to errors.Is and errors.As.
func (e *ConfigError) Unwrap() []error {
	errs := make([]error, len(e.Faults))
	for i, fault := range e.Faults {
		errs[i] = fault
	}
	return errs
}

// ConfigKey writes the path of a setting as it stands in the file: ConfigKey("NATS", "TLS", "CA") is "[NATS.TLS] CA".
// Parts that TOML does not take bare are quoted, and cut when very long.
func ConfigKey(path ...string) string {
	last := len(path) - 1
	switch {
	case last < 0:
		return ""
	case last == 0:
		return configKeyPart(path[0])
	}
	return ConfigSection(path[:last]...) + " " + configKeyPart(path[last])
}

// ConfigSection writes the path of a section as it stands in the file: ConfigSection("NATS", "TLS") is "[NATS.TLS]".
func ConfigSection(path ...string) string {
	parts := make([]string, len(path))
	for i, part := range path {
		parts[i] = configKeyPart(part)
	}
	return "[" + strings.Join(parts, ".") + "]"
}

func configKeyPart(part string) string {
	bare := func(r rune) bool {
		return r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z'
	}
	if part == "" || len(part) > configMaxShown || strings.ContainsFunc(part, func(r rune) bool { return !bare(r) }) {
		return quoteConfig(part)
	}
	return part
}

// quoteConfig quotes a foreign text on one line, cut when very long.
func quoteConfig(s string) string {
	if len(s) <= configMaxShown {
		return strconv.Quote(s)
	}
	cut := configMaxShown
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return strconv.Quote(s[:cut]) + "…"
}
