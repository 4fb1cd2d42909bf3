package netguard

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// target is a URL that a plugin asks for, taken apart.
type target struct {
	scheme   string
	host     hostName
	port     uint16
	path     string // escaped, no dot segments
	rawQuery string // escaped
}

func defaultPort(scheme string) uint16 {
	switch scheme {
	case "http", "ws":
		return 80
	case "https", "wss":
		return 443
	}
	return 0
}

// parseTarget reads a URL. Its errors are for the plugin.
func parseTarget(rawURL string) (target, error) {
	if len(rawURL) > MaxURLLength {
		return target{}, fmt.Errorf("longer than %d bytes", MaxURLLength)
	}
	u, err := url.Parse(rawURL)
	switch {
	case err != nil:
		return target{}, err
	case defaultPort(u.Scheme) == 0:
		return target{}, fmt.Errorf("scheme %q is not http, https, ws or wss", u.Scheme)
	case u.User != nil:
		return target{}, errors.New("user information in the URL is not allowed: use an Authorization header")
	case u.Host == "":
		return target{}, errors.New("no host")
	}
	t := target{scheme: u.Scheme, rawQuery: escapedQuery(u.RawQuery)}
	if t.host, err = parseHost(u.Hostname(), strings.HasPrefix(u.Host, "[")); err != nil {
		return target{}, err
	}
	if t.port, err = parsePort(u.Port(), defaultPort(u.Scheme)); err != nil {
		return target{}, err
	}
	// The escaped path is what net/http sends.
	if t.path, err = cleanPath(u.EscapedPath()); err != nil {
		return target{}, err
	}
	return t, nil
}

func parsePort(text string, whenEmpty uint16) (uint16, error) {
	if text == "" {
		return whenEmpty, nil
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 {
		return 0, fmt.Errorf("bad port %q", text)
	}
	return uint16(port), nil
}

// url returns the URL to send for a path that cleanPath returned.
func (t target) url(path string) (*url.URL, error) {
	host := t.host.text
	if t.host.addr.Is6() {
		host = "[" + host + "]"
	}
	if t.port != defaultPort(t.scheme) {
		host += ":" + strconv.Itoa(int(t.port))
	}
	decoded, err := url.PathUnescape(path)
	if err != nil {
		return nil, fmt.Errorf("bad path: %w", err)
	}
	u := &url.URL{Scheme: t.scheme, Host: host, Path: decoded, RawPath: path, RawQuery: t.rawQuery}
	if u.EscapedPath() != path {
		return nil, fmt.Errorf("path %q cannot be sent as it is", path)
	}
	if len(u.String()) > MaxURLLength { // escapes make it longer
		return nil, fmt.Errorf("longer than %d bytes once it is escaped", MaxURLLength)
	}
	return u, nil
}
