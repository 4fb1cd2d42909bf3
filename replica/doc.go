// Package replica is one running host: it loads the plugins of a folder, gives
// each the services it was granted, serves them on the bus and tells about
// itself.
package replica
