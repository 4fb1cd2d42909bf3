package websocket

import (
	"crypto/tls"
	"crypto/x509"

	"github.com/pluginhost/pluginhost/hostsvc/internal/nanoid"
)

// Trust makes the service accept the certificates of a test server.
func (s *Service) Trust(roots *x509.CertPool) {
	s.dialer.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
}

// MaxID is the longest connection id, in bytes.
const MaxID = nanoid.MaxGiven
