// Package many loads very many plugins, calls each and removes them all: nothing
// may be left behind.
package many
