// Package author is what the command line does for those who write plugins: begin
// one and build it.
package author
