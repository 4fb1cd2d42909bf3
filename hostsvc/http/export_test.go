package http

import (
	"crypto/tls"
	"crypto/x509"
)

// Trust makes the service accept the certificates of a test server.
func (s *Service) Trust(roots *x509.CertPool) {
	s.transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
}

// MaxConnections is how many connections a plugin may have at a time.
const MaxConnections = maxConnections

// Connections is how many connections the service has.
func (s *Service) Connections() int { return len(s.slots) }
