package client

import (
	"time"

	"github.com/nats-io/nats.go"
)

const (
	// connectionName is what a server calls a connection that has no other name.
	connectionName = "pluginhost client"
	// pingInterval is how often the server is asked whether it is there.
	pingInterval = 10 * time.Second
	// reconnectWait is the pause between two attempts to connect anew, to which nats.go adds up to 100 ms.
	reconnectWait = 250 * time.Millisecond
)

// Connect connects to the server at a URL, or to one of several with commas between them, in the way that suits a [Client].
// The caller closes the connection. It has these options of nats.go, of which those of the caller win:
//
//   - ReconnectBufSize(-1): nothing is kept while the connection is lost. What nats.go keeps it sends once it is back, whoever
//     waits for it then: a scrobble that its caller has repeated meanwhile would be recorded twice.
//   - MaxReconnects(-1) and IgnoreAuthErrorAbort: it is tried for ever to connect anew. By themselves nats.go gives up after some
//     two minutes, and when it is refused twice in a row, as it is while users of the server change, and closes the connection for good.
//   - PingInterval of 10 s: a server that is dead without having closed the connection, as behind a cable that was pulled, is
//     noticed after half a minute at most. By itself nats.go takes six minutes, for which every call would end at its deadline.
//   - ReconnectWait of 250 ms: calls fail for no longer than they have to. By itself it is 2 s.
//   - Name, by which an operator finds the connection on the server.
//
// A server that is not there is an error, nats.ErrNoServers, as with nats.Connect: at a first start it is most often a wrong address. A program that
// may begin before its server adds nats.RetryOnFailedConnect(true). What the server says by itself, as that a user may not do
// something, nats.go writes to the standard error, unless there is a nats.ErrorHandler.
func Connect(url string, options ...nats.Option) (*nats.Conn, error) {
	ours := []nats.Option{
		nats.Name(connectionName),
		nats.ReconnectBufSize(-1),
		nats.MaxReconnects(-1),
		nats.IgnoreAuthErrorAbort(),
		nats.PingInterval(pingInterval),
		nats.ReconnectWait(reconnectWait),
	}
	return nats.Connect(url, append(ours, options...)...)
}
