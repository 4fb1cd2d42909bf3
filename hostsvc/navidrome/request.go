package navidrome

import (
	"context"
	"net/url"
	"strings"
)

// SubsonicRequest is one request of the Subsonic API.
type SubsonicRequest struct {
	// Plugin is the id of the plugin that asks.
	Plugin string
	// Via are the ids of the plugins that wait for the answer, Plugin the last.
	Via []string
	// User is whom the request is made for; whether it may be is the caller's to
	// have checked.
	User string
	// Endpoint is the last part of the path, such as getAlbumList2 or ping.view.
	Endpoint string
	// Query has all parameters, u, c, f and v among them.
	Query url.Values
}

// EncodeQuery encodes parameters in the order of their names. A space is %20, which is one in
// every part of a URL and to every server.
func EncodeQuery(query url.Values) string {
	return strings.ReplaceAll(query.Encode(), "+", "%20") // a plus sign of a parameter is %2B
}

// Subsonic answers requests of the Subsonic API. It is safe for concurrent use.
type Subsonic interface {
	// Subsonic returns the body of the answer, whatever its status. An error says
	// that there is none.
	Subsonic(ctx context.Context, request SubsonicRequest) ([]byte, error)
}
