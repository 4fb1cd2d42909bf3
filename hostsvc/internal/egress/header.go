package egress

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// Limits of the headers of a request or a response.
const (
	// MaxHeaders is how many there may be.
	MaxHeaders = 256
	// MaxHeaderBytes is how large all of them may be.
	MaxHeaderBytes = 256 << 10
	// MaxHeaderMessage is how long all headers of a request may be in the message of the
	// plugin, in bytes.
	MaxHeaderMessage = MaxHeaderBytes + 16*MaxHeaders
)

// maxShownName is how much of a header's name goes into an error, in bytes.
const maxShownName = 64

// Header makes the headers to send, under their canonical names: without the one that
// would log the plugin in at Navidrome, and without Host, which follows from the URL.
// It fails where there are too many, and for a name or a value that cannot be sent.
func (g *Gate) Header(given map[string]string) (http.Header, error) {
	if len(given) > MaxHeaders {
		return nil, fmt.Errorf("%d request headers, but at most %d are allowed", len(given), MaxHeaders)
	}
	size := 0
	for name, value := range given {
		size += len(name) + len(value)
	}
	if size > MaxHeaderBytes {
		return nil, fmt.Errorf("request headers of %d bytes, but at most %d are allowed", size, MaxHeaderBytes)
	}
	header := make(http.Header, len(given))
	// In order, so that of two spellings of a name the same one always wins.
	for _, name := range slices.Sorted(maps.Keys(given)) {
		value := given[name]
		switch {
		case !isToken(name):
			return nil, fmt.Errorf("header name %q cannot be sent: it is empty or has characters that no name has", shown(name))
		case strings.ContainsFunc(value, isControl):
			return nil, fmt.Errorf("the value of header %q cannot be sent: it has a line break or another control character", shown(name))
		case sameHeader(name, g.config.UserHeader), sameHeader(name, "Host"):
		default:
			header.Set(name, value)
		}
	}
	return header, nil
}

// sameHeader compares names as loosely as the servers do that turn a header into a
// variable (CGI): case does not count, and "_" is "-".
func sameHeader(a, b string) bool {
	return strings.EqualFold(strings.ReplaceAll(a, "_", "-"), strings.ReplaceAll(b, "_", "-"))
}

// isToken reports whether text can be the name of a header (RFC 9110, 5.1).
func isToken(text string) bool {
	for i := range len(text) {
		c := text[i]
		isAlphanumeric := '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !isAlphanumeric && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return text != ""
}

// isControl reports what the value of a header cannot have (RFC 9110, 5.5).
func isControl(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }

func shown(name string) string {
	if len(name) > maxShownName {
		return name[:maxShownName] + "…"
	}
	return name
}
