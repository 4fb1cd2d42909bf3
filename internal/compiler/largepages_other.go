//go:build !linux || race

package compiler

// useLargePages does nothing: the race detector keeps several bytes for each, which would count.
func useLargePages(int64) {}
