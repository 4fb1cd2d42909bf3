package subsonicapi

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pluginhost/pluginhost/sdk/hold"
)

// Limits of a request, in bytes.
const (
	// maxURL has room for playlists of 10,000 songs, each with a long id.
	maxURL      = 1 << 20
	maxUser     = 255
	maxEndpoint = 100
)

// maxParameters is how many parameters a query may have. Go, with which Navidrome is built,
// reads 10,000 of a form, and the host adds c, f and v.
const maxParameters = 9_997

// parameterBytes is more than a parameter takes besides its text once it is read, in bytes.
const parameterBytes = 128

// apiVersion is the version of the Subsonic API that is asked for.
const apiVersion = "1.16.1"

// credentials are the parameters that log in. No request needs them, and they are the
// business of nobody between here and Navidrome.
var credentials = []string{"p", "t", "s", "jwt", "apiKey"}

// parseURL parses the URL of a call, of which path and query count only.
func parseURL(rawURL string) (*url.URL, error) {
	if len(rawURL) > maxURL {
		return nil, fmt.Errorf("invalid URL format: the URL has %d bytes, the limit is %d", len(rawURL), maxURL)
	}
	target, err := url.Parse(rawURL)
	if err == nil {
		return target, nil
	}
	// The text of the error has the URL: leave out where a password can be.
	shown, _, _ := strings.Cut(rawURL, "#")
	shown, _, _ = strings.Cut(shown, "?")
	if strings.Contains(rawURL, "@") {
		return nil, errors.New("invalid URL format: it does not parse, and is not shown as it may hold a password")
	}
	var fault *url.Error
	if errors.As(err, &fault) {
		fault.URL = shown
	}
	return nil, fmt.Errorf("invalid URL format: %w", err)
}

// queryIn reads the parameters of a call.
func queryIn(ctx context.Context, target *url.URL) (url.Values, error) {
	count := strings.Count(target.RawQuery, "&") + 1
	if count > maxParameters {
		return nil, fmt.Errorf("invalid URL format: the query has %d parameters, the limit is %d", count, maxParameters)
	}
	// Read, a parameter is as long as it was at most; encoded, three times that, in a text
	// that is doubled as it grows.
	if err := hold.Bytes(ctx, 7*len(target.RawQuery)+parameterBytes*count); err != nil {
		return nil, fmt.Errorf("the query of %d bytes: %w", len(target.RawQuery), err)
	}
	return target.Query(), nil
}

// userIn returns the user as whom a call is made.
func userIn(query url.Values) (string, error) {
	user := query.Get("u")
	switch {
	case user == "":
		return "", errors.New("missing required parameter 'u' (username)")
	case len(user) > maxUser:
		return "", fmt.Errorf("parameter 'u' (username) has %d bytes, the limit is %d", len(user), maxUser)
	case !utf8.ValidString(user):
		return "", errors.New("parameter 'u' (username) is not valid UTF-8")
	case strings.ContainsFunc(user, unicode.IsControl):
		return "", errors.New("parameter 'u' (username) has control characters")
	case strings.TrimSpace(user) != user:
		// A header would lose them, and so name another user.
		return "", errors.New("parameter 'u' (username) begins or ends with a space")
	}
	return user, nil
}

// endpointIn returns the endpoint of a call: the last segment of its path.
func endpointIn(target *url.URL) (string, error) {
	endpoint := path.Base(target.Path)
	switch {
	case endpoint == "." || endpoint == ".." || endpoint == "/":
		return "", errors.New("the path of the URL names no endpoint: want one such as /rest/getAlbumList2")
	case len(endpoint) > maxEndpoint:
		return "", fmt.Errorf("the endpoint has %d bytes, the limit is %d", len(endpoint), maxEndpoint)
	case !utf8.ValidString(endpoint) || strings.ContainsFunc(endpoint, unicode.IsControl):
		return "", errors.New("the endpoint is not valid UTF-8 or has control characters: want one such as getAlbumList2")
	}
	return endpoint, nil
}
