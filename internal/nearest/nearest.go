// Package nearest finds what somebody meant who mistyped a name.
package nearest

import (
	"strings"

	"github.com/agnivade/levenshtein"
)

// To returns the candidate that word most likely stands for, or "" if none is close: a
// third of a candidate may differ, and a letter of any. Case does not count.
func To(word string, candidates []string) string {
	best, fewest := "", 0
	for _, candidate := range candidates {
		allowed := max(1, len(candidate)/3)
		if len(word) > len(candidate)+allowed {
			continue // also keeps the work small for a foreign word of any length
		}
		edits := levenshtein.ComputeDistance(strings.ToLower(word), strings.ToLower(candidate))
		if edits <= allowed && (best == "" || edits < fewest) {
			best, fewest = candidate, edits
		}
	}
	return best
}
