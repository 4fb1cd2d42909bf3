package natswire

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// maxInfo is the longest first line of a server that is taken, in bytes: it names the
// other servers of its cluster.
const maxInfo = 1 << 20

// Connect is nats.Connect with bounded headers: over TCP, TLS and WebSocket, and to a
// server in this process. An option that sets a dialer has no effect.
func Connect(servers string, options ...nats.Option) (*nats.Conn, error) {
	o := nats.GetDefaultOptions()
	for _, option := range options {
		if err := option(&o); err != nil {
			return nil, err
		}
	}
	if o.InProcessServer != nil {
		o.InProcessServer = inProcess{o.InProcessServer}
		return o.Connect()
	}
	d := &dialer{options: o}
	for server := range strings.SplitSeq(servers, ",") {
		server, err := d.add(strings.TrimSpace(server))
		if err != nil {
			return nil, err
		}
		o.Servers = append(o.Servers, server)
	}
	o.CustomDialer = d
	// The name of a server is needed to check its certificate.
	o.SkipHostLookup = true
	return o.Connect()
}

// inProcess is a server in this process.
type inProcess struct{ server nats.InProcessConnProvider }

// InProcessConn implements nats.InProcessConnProvider.
func (p inProcess) InProcessConn() (net.Conn, error) {
	c, err := p.server.InProcessConn()
	if err != nil {
		return nil, err
	}
	return bound(c), nil
}

// dialer makes connections for nats.go which are beyond TLS and WebSocket: what nats.go
// reads is what the filter has passed.
type dialer struct {
	options   nats.Options
	servers   []*url.URL
	secure    bool // TLS is wanted, whatever the server says
	webSocket bool

	mu   sync.Mutex
	name string // of the host of the newest connection whose address had one
}

// add notes a server and returns the URL that nats.go is to know it by.
func (d *dialer) add(server string) (string, error) {
	if !strings.Contains(server, "://") {
		server = "nats://" + server
	}
	u, err := url.Parse(server)
	if err != nil {
		return "", err
	}
	webSocket := u.Scheme == "ws" || u.Scheme == "wss"
	if len(d.servers) > 0 && webSocket != d.webSocket {
		return "", nats.ErrMixingWebsocketSchemes
	}
	d.webSocket = webSocket
	d.secure = d.secure || u.Scheme == "tls" || u.Scheme == "wss"
	if !webSocket {
		d.servers = append(d.servers, u)
		return server, nil
	}
	if u.Port() == "" {
		u.Host = net.JoinHostPort(u.Hostname(), map[string]string{"ws": "80", "wss": "443"}[u.Scheme])
	}
	d.servers = append(d.servers, u)
	plain := *u
	plain.Scheme, plain.Path, plain.RawQuery = "nats", "", ""
	return plain.String(), nil
}

// SkipTLSHandshake says that Dial has shaken hands.
func (d *dialer) SkipTLSHandshake() bool { return true }

// Dial implements nats.CustomDialer.
func (d *dialer) Dial(network, address string) (net.Conn, error) {
	over := time.Now().Add(d.options.Timeout)
	if d.webSocket {
		c, err := d.dialWebSocket(address, over)
		if err != nil {
			return nil, err
		}
		return bound(c), nil
	}
	c, err := d.dialHost(network, address, over)
	if err != nil {
		return nil, err
	}
	secured, err := d.secured(c, address, over)
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return bound(secured), nil
}

// dialHost connects to one of the addresses of a host, in no order: a name may stand for
// all servers of a cluster.
func (d *dialer) dialHost(network, address string, over time.Time) (c net.Conn, err error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	hosts := []string{host}
	if net.ParseIP(host) == nil {
		if found, err := net.LookupHost(host); err == nil && len(found) > 0 {
			hosts = found
			rand.Shuffle(len(hosts), func(i, j int) { hosts[i], hosts[j] = hosts[j], hosts[i] })
		}
	}
	each := time.Until(over) / time.Duration(len(hosts))
	for _, host := range hosts {
		if c, err = net.DialTimeout(network, net.JoinHostPort(host, port), each); err == nil {
			return c, nil
		}
	}
	return nil, err
}

// secured returns the connection beyond TLS, if that is wanted on one side, before the
// server's first line has been read of it.
func (d *dialer) secured(c net.Conn, address string, over time.Time) (net.Conn, error) {
	if err := c.SetDeadline(over); err != nil {
		return nil, err
	}
	var info []byte
	if !d.options.TLSHandshakeFirst {
		var err error
		if info, err = readInfo(c); err != nil {
			return nil, err
		}
		var offer struct {
			Required  bool `json:"tls_required"`
			Available bool `json:"tls_available"`
		}
		_, document, _ := bytes.Cut(info, []byte(" "))
		_ = json.Unmarshal(document, &offer) // nats.go says what is wrong with it
		// Where TLS is wanted and not to be had, nats.go says so before it says more.
		if !offer.Required && (!d.wantsTLS() || !offer.Available) {
			return &begun{Conn: c, first: info}, c.SetDeadline(time.Time{})
		}
	}
	config, err := d.tlsConfig(address)
	if err != nil {
		return nil, err
	}
	beyond := tls.Client(c, config)
	if err := beyond.Handshake(); err != nil {
		return nil, fmt.Errorf("%w: %w", nats.ErrTLS, err)
	}
	return &begun{Conn: beyond, first: info}, c.SetDeadline(time.Time{})
}

// readInfo reads the first line of a server, and no more than that: what follows may be
// TLS.
func readInfo(c net.Conn) ([]byte, error) {
	info := make([]byte, 0, 4096)
	for len(info) < maxInfo {
		if len(info) == cap(info) {
			info = slices.Grow(info, len(info))
		}
		n, err := c.Read(info[len(info):cap(info)])
		info = info[:len(info)+n]
		if bytes.IndexByte(info, '\n') >= 0 {
			return info, nil // without TLS, more may have come; with it, the client speaks first
		}
		if err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%w: its first line has more than %d bytes", errMalformed, maxInfo)
}

func (d *dialer) wantsTLS() bool { return d.secure || d.options.Secure }

// tlsConfig is that of nats.go for the server at an address.
func (d *dialer) tlsConfig(address string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if d.options.TLSConfig != nil {
		config = d.options.TLSConfig.Clone()
	}
	if d.options.TLSCertCB != nil {
		cert, err := d.options.TLSCertCB()
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{cert}
	}
	if d.options.RootCAsCB != nil {
		roots, err := d.options.RootCAsCB()
		if err != nil {
			return nil, err
		}
		config.RootCAs = roots
	}
	if config.ServerName == "" {
		config.ServerName = d.serverName(address)
	}
	return config, nil
}

// serverName is the name that the certificate of a server at an address must have. Other
// servers of a cluster are told by their addresses alone: they have the name of the one
// that told them.
func (d *dialer) serverName(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	isOurs := slices.ContainsFunc(d.servers, func(u *url.URL) bool { return u.Hostname() == host })
	d.mu.Lock()
	defer d.mu.Unlock()
	if net.ParseIP(host) != nil && !isOurs && d.name != "" {
		return d.name
	}
	if net.ParseIP(host) == nil {
		d.name = host
	}
	return host
}

// begun is a connection of which the first bytes were read.
type begun struct {
	net.Conn
	first []byte
}

// Read implements net.Conn.
func (b *begun) Read(p []byte) (int, error) {
	if len(b.first) > 0 {
		n := copy(p, b.first)
		b.first = b.first[n:]
		return n, nil
	}
	return b.Conn.Read(p)
}
