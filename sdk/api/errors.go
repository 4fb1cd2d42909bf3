package api

import "errors"

// The two errors that a host understands. A plugin returns them as they are:
// wrapped or decorated texts are errors like any other.
var (
	// ErrNotFound says that the plugin looked and found nothing.
	ErrNotFound = errors.New("plugin:not_found")
	// ErrNotImplemented says that the plugin does not offer this method.
	ErrNotImplemented = errors.New("plugin:not_implemented")
)
