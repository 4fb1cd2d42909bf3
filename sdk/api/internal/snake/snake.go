// Package snake converts the names of services and methods to the names of
// exports and imports.
package snake

import (
	"regexp"
	"strings"
)

// Case converts a CamelCase name the way go-plugin does: an underscore before
// every capital letter that begins a word, and between a small letter or a
// digit and a capital letter.
// WebSocketCallback becomes web_socket_callback, GetArtistMBID get_artist_mbid.
func Case(name string) string {
	name = regexp.MustCompile(`(.)([A-Z][a-z]+)`).ReplaceAllString(name, "${1}_${2}")
	name = regexp.MustCompile(`([a-z0-9])([A-Z])`).ReplaceAllString(name, "${1}_${2}")
	return strings.ToLower(name)
}
