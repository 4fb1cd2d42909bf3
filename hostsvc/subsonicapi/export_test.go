package subsonicapi

import "time"

// What the tests need to know.
const (
	MaxVia   = maxVia
	MaxRoles = maxRoles
	KeepRole = keepRole
	MaxURL   = maxURL
)

// SetWait sets how long a call waits for its turn.
func (s *Service) SetWait(wait time.Duration) { s.wait = wait }

// Roles is how many users the service remembers.
func (s *Service) Roles() int {
	s.roles.mu.Lock()
	defer s.roles.mu.Unlock()
	return len(s.roles.known)
}
