package plugin

import (
	"strings"

	"github.com/agnivade/levenshtein"
)

// nearest returns the candidate that word most likely stands for, or "" if none is close. Case does not count.
func nearest(word string, candidates []string) string {
	best, bestDistance := "", 0
	for _, candidate := range candidates {
		allowed := max(1, len(candidate)/3)
		if len(word) > len(candidate)+allowed {
			continue // also keeps the work small for a foreign word of any length
		}
		distance := levenshtein.ComputeDistance(strings.ToLower(word), strings.ToLower(candidate))
		if distance <= allowed && (best == "" || distance < bestDistance) {
			best, bestDistance = candidate, distance
		}
	}
	return best
}
