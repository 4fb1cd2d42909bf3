package config

import (
	"cmp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxShown is how many bytes of a foreign text a fault quotes.
const maxShown = 120

// Fault is one thing that is wrong with a configuration.
type Fault struct {
	// Key names the setting as the file does: "[Runtime] PoolSize". Key makes it. Empty is a fault that belongs to no setting.
	Key string
	// At is what to change: a flag, a variable, or the file and a key or line in it. It is empty in what Validate finds, which
	// does not know where a value comes from.
	At string
	// Text says which value is bad and what is allowed. It never has a token or a password in it.
	Text string
	// Against is the key of the setting that Key does not go together with; empty when the value is bad by itself.
	Against string

	// structural faults (syntax, unknown keys) stop every command, the others only those that use the setting.
	structural bool
}

// Error is the place, or else the key, and the text.
func (f *Fault) Error() string { return cmp.Or(f.At, f.Key) + ": " + f.Text }

// InvalidError has all faults of a Config in the order of its fields, at least one.
type InvalidError struct {
	Faults []*Fault
}

// Error has one line for each fault.
func (e *InvalidError) Error() string {
	lines := make([]string, len(e.Faults))
	for i, fault := range e.Faults {
		lines[i] = fault.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives the faults to errors.Is and errors.As.
func (e *InvalidError) Unwrap() []error {
	errs := make([]error, len(e.Faults))
	for i, fault := range e.Faults {
		errs[i] = fault
	}
	return errs
}

// Key writes the path of a setting as it stands in the file: Key("NATS", "TLS", "CA") is "[NATS.TLS] CA".
// Parts that TOML does not take bare are quoted, and cut when very long.
func Key(path ...string) string {
	last := len(path) - 1
	switch {
	case last < 0:
		return ""
	case last == 0:
		return keyPart(path[0])
	}
	return Section(path[:last]...) + " " + keyPart(path[last])
}

// Section writes the path of a section as it stands in the file: Section("NATS", "TLS") is "[NATS.TLS]".
func Section(path ...string) string {
	parts := make([]string, len(path))
	for i, part := range path {
		parts[i] = keyPart(part)
	}
	return "[" + strings.Join(parts, ".") + "]"
}

func keyPart(part string) string {
	bare := func(r rune) bool {
		return r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z'
	}
	if part == "" || len(part) > maxShown || strings.ContainsFunc(part, func(r rune) bool { return !bare(r) }) {
		return quote(part)
	}
	return part
}

// quote quotes a foreign text on one line, cut when very long.
func quote(s string) string {
	if len(s) <= maxShown {
		return strconv.Quote(s)
	}
	cut := maxShown
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return strconv.Quote(s[:cut]) + "…"
}
