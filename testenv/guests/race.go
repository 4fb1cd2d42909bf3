//go:build race

package guests

const hasRaceDetector = true
