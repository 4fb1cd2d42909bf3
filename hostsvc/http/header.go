package http

import (
	"fmt"
	"maps"
	nethttp "net/http"
	"slices"
	"strings"
)

// requestHeader makes the headers to send, without the one that would log the plugin
// in at Navidrome. The transport leaves out Host, which follows from the URL, and
// reports a name or value that cannot be sent.
func (s *Service) requestHeader(given map[string]string) (nethttp.Header, error) {
	if len(given) > maxHeaders {
		return nil, fmt.Errorf("%d request headers, but at most %d are allowed", len(given), maxHeaders)
	}
	size := 0
	header := make(nethttp.Header, len(given))
	// In order, so that of two spellings of a name the same one always wins.
	for _, name := range slices.Sorted(maps.Keys(given)) {
		value := given[name]
		size += len(name) + len(value)
		if sameHeader(name, s.config.UserHeader) {
			continue
		}
		header.Set(name, value)
	}
	if size > maxHeaderBytes {
		return nil, fmt.Errorf("request headers of %d bytes, but at most %d are allowed", size, maxHeaderBytes)
	}
	return header, nil
}

// sameHeader compares names as loosely as the servers do that turn a header into a
// variable (CGI): case does not count, and "_" is "-".
func sameHeader(a, b string) bool {
	return strings.EqualFold(strings.ReplaceAll(a, "_", "-"), strings.ReplaceAll(b, "_", "-"))
}

// responseHeader returns the first value of each header under its canonical name.
func responseHeader(received nethttp.Header) (map[string]string, error) {
	if len(received) > maxHeaders {
		return nil, fmt.Errorf("the response has %d headers, but at most %d are allowed", len(received), maxHeaders)
	}
	header := make(map[string]string, len(received))
	for name, values := range received {
		if len(values) > 0 {
			header[name] = values[0]
		}
	}
	return header, nil
}
