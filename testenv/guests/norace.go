//go:build !race

package guests

const hasRaceDetector = false
