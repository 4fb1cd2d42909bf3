package websocket

// maxID is the longest connection id, in bytes.
const maxID = 16 << 10

// isID reports whether a connection can have the id at all.
func isID(id string) bool { return id != "" && len(id) <= maxID }
