package websocket

import (
	"fmt"
	"net/http"
)

// reservedHeaders are those of the handshake itself.
func reservedHeaders() []string {
	return []string{"Upgrade", "Connection", "Sec-Websocket-Key", "Sec-Websocket-Version", "Sec-Websocket-Extensions"}
}

// header makes the headers of a handshake.
func (s *Service) header(given map[string]string) (http.Header, error) {
	header, err := s.gate.Header(given)
	if err != nil {
		return nil, err
	}
	for _, name := range reservedHeaders() {
		if _, found := header[name]; found {
			return nil, fmt.Errorf("header %q belongs to the WebSocket handshake: leave it out", name)
		}
	}
	return header, nil
}
