package http

import (
	"fmt"
	nethttp "net/http"

	"github.com/pluginhost/pluginhost/hostsvc/internal/egress"
)

// responseHeader returns the first value of each header under its canonical name.
func responseHeader(received nethttp.Header) (map[string]string, error) {
	if len(received) > egress.MaxHeaders {
		return nil, fmt.Errorf("the response has %d headers, but at most %d are allowed", len(received), egress.MaxHeaders)
	}
	header := make(map[string]string, len(received))
	for name, values := range received {
		if len(values) > 0 {
			header[name] = values[0]
		}
	}
	return header, nil
}
