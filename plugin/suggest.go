package plugin

import "strings"

// nearest returns the candidate that word most likely stands for, or "" if none is close. Case does not count.
func nearest(word string, candidates []string) string {
	best, bestDistance := "", 0
	for _, candidate := range candidates {
		allowed := max(1, len(candidate)/3)
		if len(word) > len(candidate)+allowed {
			continue // also keeps the work small for a foreign word of any length
		}
		distance := editDistance(strings.ToLower(word), strings.ToLower(candidate))
		if distance <= allowed && (best == "" || distance < bestDistance) {
			best, bestDistance = candidate, distance
		}
	}
	return best
}

// editDistance counts the bytes to insert, delete or replace to turn a into b (Levenshtein).
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
