package artwork

import (
	"log/slog"
	"net"
	"net/http"
)

// Seal signs any payload, as another version of the program might.
func (s *Signer) Seal(payload []byte) string { return s.seal(payload) }

// Waiting is how many requests share the fetch for a token.
func (p *Proxy) Waiting(token string) int {
	p.flights.mu.Lock()
	defer p.flights.mu.Unlock()
	if shared, ok := p.flights.flights[token]; ok {
		return shared.waiting
	}
	return 0
}

// ListenBounded is Listen with a bound on connections of the test's own.
func ListenBounded(handler http.Handler, connections int) (*Server, error) {
	return listen("127.0.0.1:0", handler, slog.New(slog.DiscardHandler), connections)
}

// NewBounded is a listener with a bound on connections.
func NewBounded(listener *net.TCPListener, most int) net.Listener { return newBounded(listener, most) }
