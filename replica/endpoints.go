package replica

import (
	"net"
	"strconv"

	"github.com/pluginhost/pluginhost/hostsvc/netguard"
)

// endpoints are those of the host itself: what this replica listens on, and the NATS
// servers that it uses. No plugin may connect there, whatever its permissions.
func (r *Replica) endpoints() []netguard.Endpoint {
	var own []netguard.Endpoint
	add := func(name, address string) {
		host, portText, err := net.SplitHostPort(address)
		if err != nil {
			return // nothing listens
		}
		if port, err := strconv.ParseUint(portText, 10, 16); err == nil {
			own = append(own, netguard.Endpoint{Name: name, Host: host, Port: uint16(port)})
		}
	}
	add("the host's own HTTP listener", r.HTTPAddress())
	add("the host's own artwork listener", r.ArtworkAddress())
	add("the host's own ListenBrainz listener", r.ListenBrainzAddress())
	for _, server := range r.bus.Servers() {
		add("the host's own NATS servers", server)
	}
	return own
}
