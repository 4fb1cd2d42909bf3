package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/bus/cluster"
	"github.com/pluginhost/pluginhost/sdk/jet"
	"github.com/pluginhost/pluginhost/subjects"
)

const (
	connectTimeout = 5 * time.Second
	pingInterval   = 10 * time.Second
	connectPause   = 500 * time.Millisecond
	closeTimeout   = 5 * time.Second
	// Bounds on what one subscription may have waiting in the client.
	pendingMessages = 1 << 20
	pendingBytes    = 256 << 20
)

// ErrNoJetStream says that the server does not offer JetStream, which a host
// cannot do without.
var ErrNoJetStream = errors.New("the NATS server offers no JetStream to this account: " +
	"enable it with `jetstream {}` in the server's configuration (or nats-server -js), and for the account if it has accounts")

// Config says which server to use.
type Config struct {
	// URL is the server to connect to, or several separated by commas. Empty
	// embeds one.
	URL string
	// Creds is the path of a credentials file. Optional.
	Creds string
	// TLS are the paths of PEM files. Optional.
	TLS TLS
	// Embedded configures the embedded server; used where URL is empty.
	Embedded Embedded
	// Replicas is how many copies JetStream keeps. Defaults to 3 on a clustered
	// server and 1 otherwise.
	Replicas int
	// Memory keeps JetStream's data in memory instead of files.
	Memory bool
	// Patience is how long a server that is not there is waited for. Defaults to
	// 30 seconds.
	Patience time.Duration
	// Name is the identity of the replica, which also names its connections.
	Name string
	// MakeRoom is asked to free so many bytes on the disk of the embedded server, of what can
	// be made again, as often as there is too little room. Optional.
	MakeRoom func(bytes int64)
	// Doors makes a connection over which this replica calls plugins as others do.
	Doors bool
	// Logger receives what happens to the connections. Defaults to
	// slog.Default().
	Logger *slog.Logger
}

// TLS are the paths of PEM files.
type TLS struct {
	// CA vouches for the server; empty is the system's.
	CA string
	// Cert and Key identify the client; both or neither.
	Cert, Key string
}

// options are the options of nats.go for what the configuration says about
// reaching a server.
func (c Config) options() []nats.Option {
	options := []nats.Option{
		nats.Timeout(connectTimeout),
		nats.MaxReconnects(-1),
		// A server that refuses us for a while, as while its users change, must
		// not end the connection for good.
		nats.IgnoreAuthErrorAbort(),
		nats.PingInterval(pingInterval),
		nats.ReconnectWait(250 * time.Millisecond),
	}
	if c.Creds != "" {
		options = append(options, nats.UserCredentials(c.Creds))
	}
	if c.TLS.CA != "" {
		options = append(options, nats.RootCAs(c.TLS.CA))
	}
	if c.TLS.Cert != "" {
		options = append(options, nats.ClientCert(c.TLS.Cert, c.TLS.Key))
	}
	return options
}

// Bus is a replica's connections to NATS, with the server where that is embedded.
type Bus struct {
	*connections
	config    Config
	jet       *jet.Handle
	embedded  *embeddedServer
	services  *registry
	workers   *workers
	servers   servers
	slow      atomic.Uint64 // what SlowConsumers returns
	closeOnce sync.Once
	watching  watching
}

// Open connects to the server, or starts one, and checks that it has JetStream.
// A server without it is ErrNoJetStream. The caller closes the Bus.
func Open(ctx context.Context, config Config) (_ *Bus, err error) {
	if config.Logger == nil {
		config.Logger = slog.Default()
	}
	if config.Patience <= 0 {
		config.Patience = 30 * time.Second
	}
	b := &Bus{config: config, services: newRegistry(), workers: newWorkers(), connections: newConnections()}
	defer func() {
		if err != nil {
			b.Close()
		}
	}()
	options := config.options()
	url := config.URL
	if url == "" {
		b.embedded, err = startServer(config.Embedded, config.Logger)
		if err != nil {
			return nil, err
		}
		options = append(options, nats.InProcessServer(b.embedded.server), nats.Token(config.Embedded.Token))
	}
	if b.core, err = b.connect(ctx, url, forCore, options); err != nil {
		return nil, err
	}
	if b.jet, err = jet.New(b.handleConfig()); err != nil {
		return nil, err
	}
	if err := b.awaitJetStream(ctx); err != nil {
		return nil, err
	}
	if b.control, err = b.connect(ctx, url, forControl, options); err != nil {
		return nil, err
	}
	if b.calls, err = b.connect(ctx, url, forCalls, options); err != nil {
		return nil, err
	}
	if config.Doors {
		if b.doors, err = b.connect(ctx, url, forDoors, options); err != nil {
			return nil, err
		}
	}
	config.Logger.Info("connected to NATS", "url", b.URL(), "embedded", b.embedded != nil, "copies", b.jet.Copies(), "storage", b.jet.Storage().String())
	b.watching.start(b)
	return b, nil
}

// Jet is what the replica does with JetStream. The Bus closes it.
func (b *Bus) Jet() *jet.Handle { return b.jet }

func (b *Bus) handleConfig() jet.Config {
	config := jet.Config{
		Conn: b.core.Conn, Purpose: string(forCore), Logger: b.config.Logger, Patience: b.config.Patience, Lease: cluster.Lease,
		Replicas: b.config.Replicas, Memory: b.config.Memory,
	}
	if b.embedded != nil {
		config.Limit = func() int64 { return b.embedded.limit(b.config.Memory) }
	}
	return config
}

// awaitJetStream waits for a cluster that has no leader yet: it may be starting
// as well.
func (b *Bus) awaitJetStream(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, b.config.Patience)
	defer cancel()
	for waiting := false; ; waiting = true {
		attempt, cancel := context.WithTimeout(ctx, connectTimeout)
		_, err := b.jet.JetStream().AccountInfo(attempt)
		cancel()
		switch {
		case err == nil:
			return nil
		case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
			return ErrNoJetStream
		case !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil:
			if refused := b.core.LastError(); errors.Is(refused, nats.ErrPermissionViolation) {
				// A server drops what a user may not do, so this may be why.
				err = fmt.Errorf("%w; the NATS server has refused something to this user: %w", err, refused)
			}
			return fmt.Errorf("jetstream account: %w", err)
		}
		if !waiting {
			b.config.Logger.Warn("JetStream does not answer yet", "waiting", b.config.Patience)
		}
	}
}

// URL is where clients reach the server, without what they must present to it.
func (b *Bus) URL() string {
	if b.embedded != nil {
		return b.embedded.server.ClientURL()
	}
	return subjects.WithoutUser(b.core.ConnectedUrl())
}

// maxPayload is the longest message that the servers take, in bytes.
func (b *Bus) maxPayload() int { return int(min(b.calls.MaxPayload(), b.core.MaxPayload())) }

// Connected says whether the connection for JetStream is up now.
func (b *Bus) Connected() bool { return b.core.IsConnected() }

// Away are the connections that are not up now, by what they are for: calls, control or
// core.
func (b *Bus) Away() []string {
	var away []string
	for _, c := range b.all() {
		if !c.IsConnected() {
			away = append(away, string(c.purpose))
		}
	}
	return away
}

// SlowConsumers is how often a subscription had more waiting than it may, so that
// messages were dropped.
func (b *Bus) SlowConsumers() uint64 { return b.slow.Load() }

// Publish announces something to whoever listens.
func (b *Bus) Publish(subject string, body []byte) error { return b.core.Publish(subject, body) }

// JetStreamConn is the connection for what goes to JetStream. The Bus closes it.
func (b *Bus) JetStreamConn() *nats.Conn { return b.core.Conn }

// DoorsConn is the connection over which this replica calls plugins as others do; it is there with Config.Doors. The Bus
// closes it.
func (b *Bus) DoorsConn() *nats.Conn { return b.doors.Conn }

// Lost gets one error once the Bus is of no use any more: a connection is gone for good, by Close or
// otherwise, or the embedded server hangs (ErrServerHangs). Only the first that receives from it gets it.
func (b *Bus) Lost() <-chan error { return b.lost }

// Close waits a little for calls that still run, sends what is still to be sent,
// and closes the connections, those for doors and calls first and that for JetStream last, and the
// embedded server. Further calls do nothing.
func (b *Bus) Close() { b.closeOnce.Do(b.close) }

func (b *Bus) close() {
	b.stopWorkers()
	b.watching.stop()
	if b.jet != nil {
		b.jet.Close()
	}
	for _, c := range b.all() {
		if err := c.leave(); err != nil {
			b.config.Logger.Warn("NATS connection could not be flushed", "connection", string(c.purpose), "error", err)
		}
	}
	if b.embedded != nil {
		b.embedded.stop()
	}
}

func (b *Bus) stopWorkers() {
	if !within(closeTimeout, b.workers.stop) {
		b.config.Logger.Warn("calls that do not end are left behind")
	}
}

// lastToken is the last token of a subject.
func lastToken(subject string) string { return subject[strings.LastIndexByte(subject, '.')+1:] }
