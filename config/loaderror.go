package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pluginhost/pluginhost/internal/nearest"
)

// LoadError lists everything that is wrong with flags, variables and file, at least one fault.
type LoadError struct {
	Faults []*Fault
}

// Error has one line for each fault, after a line with their number if there are several.
func (e *LoadError) Error() string {
	if len(e.Faults) == 1 {
		return e.Faults[0].Error()
	}
	var lines strings.Builder
	fmt.Fprintf(&lines, "%d faults in the configuration:", len(e.Faults))
	for _, fault := range e.Faults {
		lines.WriteString("\n  " + fault.Error())
	}
	return lines.String()
}

// allowedName is a key or section that may stand at some place, and how to show it.
type allowedName struct {
	name  string
	shown string
}

// shownAs has names that are shown as they are.
func shownAs(names []string) []allowedName {
	allowed := make([]allowedName, len(names))
	for i, name := range names {
		allowed[i] = allowedName{name: name, shown: name}
	}
	return allowed
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
