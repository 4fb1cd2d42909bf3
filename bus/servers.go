package bus

import (
	"net/url"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"
)

// maxServers is how many NATS servers are remembered, those that have gone included.
const maxServers = 256

// servers are the NATS servers that connections use.
type servers struct {
	mu    sync.Mutex // of those who write
	known atomic.Pointer[[]string]
}

// Servers returns host:port of every NATS server that a connection is made to or can
// move to: those of the configuration, those that they told of, and the address of the
// one that it has reached. For an embedded server it is where that listens, which may be
// an unspecified address. The list is not to be changed. Servers does not block.
func (b *Bus) Servers() []string {
	if known := b.servers.known.Load(); known != nil {
		return *known
	}
	return nil
}

// noteServers has Servers return what the connection knows now. It is called whenever
// that may have changed, because the connection does not answer while it dials. Servers
// that have gone stay in the list, for nats.go does not tell when one of them is back.
func (b *Bus) noteServers(conn *nats.Conn) {
	var current []string
	add := func(address string) {
		if address != "" && len(current) < maxServers && !slices.Contains(current, address) {
			current = append(current, address)
		}
	}
	if b.embedded != nil {
		// Its only port: it has no cluster, no monitoring and no WebSockets.
		add(b.embedded.server.Addr().String())
	} else {
		add(conn.ConnectedAddr())
		for _, server := range conn.Servers() {
			if u, err := url.Parse(server); err == nil {
				add(u.Host)
			}
		}
	}
	b.servers.mu.Lock()
	defer b.servers.mu.Unlock()
	for _, former := range b.Servers() {
		add(former)
	}
	b.servers.known.Store(&current)
}
