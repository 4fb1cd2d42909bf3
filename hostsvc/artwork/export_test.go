package artwork

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
