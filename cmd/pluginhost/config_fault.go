package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pluginhost/pluginhost/internal/nearest"
)

// configError lists everything that is wrong with flags, environment and file, at least one fault.
type configError struct {
	faults []configFault
}

// configFault is one wrong thing. where tells the user what to change: a flag, a variable, or file and key.
type configFault struct {
	key   string // as replica.ConfigKey writes it, or empty when it belongs to no setting
	where string
	text  string
	// against is the key of the setting that key does not go together with, or empty.
	against string
	// structural faults (syntax, unknown keys) stop every command, the others only those that use the key.
	structural bool
}

func (f configFault) String() string { return f.where + ": " + f.text }

// Error has one line for each fault, after a line with their number if there are several.
func (e *configError) Error() string {
	if len(e.faults) == 1 {
		return e.faults[0].String()
	}
	var lines strings.Builder
	fmt.Fprintf(&lines, "%d faults in the configuration:", len(e.faults))
	for _, fault := range e.faults {
		lines.WriteString("\n  " + fault.String())
	}
	return lines.String()
}

// allowedName is a key or section that may stand at some place, and how to show it.
type allowedName struct {
	name  string
	shown string
}

// unknownText says what would be right instead of a key or section that is not known where it stands.
func unknownText(what, written string, allowed []allowedName) string {
	names, all := make([]string, len(allowed)), make([]string, len(allowed))
	for i, one := range allowed {
		names[i], all[i] = one.name, one.shown
	}
	if meant := nearest.To(written, names); meant != "" {
		return fmt.Sprintf("unknown %s; did you mean %s?", what, all[slices.Index(names, meant)])
	}
	return fmt.Sprintf("unknown %s; allowed here: %s", what, strings.Join(all, ", "))
}
