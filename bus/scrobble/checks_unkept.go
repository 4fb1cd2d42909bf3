//go:build unkept

package scrobble

const keepsUntilTaken = false
