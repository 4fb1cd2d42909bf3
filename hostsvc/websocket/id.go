package websocket

import "github.com/pluginhost/pluginhost/hostsvc/internal/nanoid"

// isID reports whether a connection can have the id at all.
func isID(id string) bool { return id != "" && len(id) <= nanoid.MaxGiven }
