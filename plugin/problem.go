package plugin

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// maxProblems bounds how many faults or warnings of one manifest are reported; the rest is counted.
const maxProblems = 100

// maxQuoted bounds, in bytes, how much of a foreign string is repeated in a message.
const maxQuoted = 80

// plainKey matches object keys that need no quotes in a path.
var plainKey = regexp.MustCompile(`^[A-Za-z_$][A-Za-z0-9_$]*$`)

// Problem is one thing that is wrong with a manifest.
type Problem struct {
	// Path says where, such as permissions.http.allowedUrls["https://example.com"][0]. It is empty when the problem is
	// the document as a whole.
	Path string
	// Text says what is wrong there and what is allowed.
	Text string
}

// String gives the path and the text in one line.
func (p Problem) String() string {
	if p.Path == "" {
		return p.Text
	}
	return p.Path + ": " + p.Text
}

// ManifestError says why a manifest cannot be used. It holds every fault found (at most 100, then a last one that counts
// the rest), sorted by path.
type ManifestError struct {
	Faults []Problem
}

// Error lists all faults in one line.
func (e *ManifestError) Error() string {
	texts := make([]string, len(e.Faults))
	for i, fault := range e.Faults {
		texts[i] = fault.String()
	}
	return "invalid manifest: " + strings.Join(texts, "; ")
}

// sorted orders problems by path and cuts them at maxProblems.
func sorted(problems []Problem) []Problem {
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return strings.Compare(a.Path, b.Path)
	})
	if more := len(problems) - maxProblems; more > 0 {
		problems = append(problems[:maxProblems], Problem{Text: fmt.Sprintf("and %d more like these", more)})
	}
	return problems
}

// location is a place in a JSON document, from the root: object keys, and array indexes in decimal.
type location []string

// at returns the location of one element below.
func (l location) at(key string) location {
	return append(slices.Clip(l), key)
}

// String writes the location as a path the way it would be typed in JavaScript.
func (l location) String() string {
	var path strings.Builder
	for i, key := range l {
		switch {
		case isIndex(key):
			path.WriteString("[" + key + "]")
		case !isPlainKey(key):
			path.WriteString("[" + quote(key) + "]")
		case i > 0:
			path.WriteString("." + key)
		default:
			path.WriteString(key)
		}
	}
	return path.String()
}

// isIndex tells whether key is an array index. A short object key of digits alone looks the same.
func isIndex(key string) bool {
	index, err := strconv.Atoi(key)
	return err == nil && index >= 0 && index < maxManifestValues && strconv.Itoa(index) == key
}

func isPlainKey(key string) bool {
	return len(key) <= maxQuoted && plainKey.MatchString(key)
}

// quote makes a foreign string safe to print: in quotes, control characters escaped, cut at maxQuoted.
func quote(s string) string {
	if len(s) > maxQuoted {
		return strconv.Quote(strings.ToValidUTF8(s[:maxQuoted], "")) + "…"
	}
	return strconv.Quote(s)
}
