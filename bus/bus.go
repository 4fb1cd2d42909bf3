package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/internal/natswire"
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
	// Name is the identity of the replica, which is also the connection's name.
	Name string
	// Logger receives what happens to the connection. Defaults to
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
		nats.Name("pluginhost " + c.Name),
		nats.CustomInboxPrefix(subjects.InboxPrefix),
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

// Bus is a connection to NATS, with its server where that is embedded.
type Bus struct {
	config    Config
	conn      *nats.Conn
	js        jetstream.JetStream
	embedded  *embeddedServer
	services  *registry
	workers   *workers
	turns     *turns // of converting JSON
	servers   servers
	closed    chan struct{} // closed with the connection
	closeOnce sync.Once

	stateMu sync.Mutex
	state   *state // nil until it is first asked for
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
	b := &Bus{config: config, services: newRegistry(), workers: newWorkers(), turns: newTurns(), closed: make(chan struct{})}
	defer func() {
		if err != nil {
			b.Close()
		}
	}()
	options := append(config.options(), b.reports()...)
	url := config.URL
	if url == "" {
		b.embedded, err = startServer(config.Embedded, config.Logger)
		if err != nil {
			return nil, err
		}
		options = append(options, nats.InProcessServer(b.embedded.server), nats.Token(config.Embedded.Token))
	}
	if b.conn, err = b.connect(ctx, url, options); err != nil {
		return nil, fmt.Errorf("connect to NATS at %s: %w", subjects.WithoutUser(url), err)
	}
	b.noteServers(b.conn)
	if b.js, err = jetstream.New(b.conn); err != nil {
		return nil, fmt.Errorf("jetstream: %w", err)
	}
	if err := b.awaitJetStream(ctx); err != nil {
		return nil, err
	}
	config.Logger.Info("connected to NATS", "url", b.URL(), "embedded", b.embedded != nil, "copies", b.copies(), "storage", b.storage().String())
	return b, nil
}

// connect waits for a server that is not there yet: it may be starting as well.
func (b *Bus) connect(ctx context.Context, url string, options []nats.Option) (*nats.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, b.config.Patience)
	defer cancel()
	ticker := time.NewTicker(connectPause)
	defer ticker.Stop()
	for waiting := false; ; waiting = true {
		conn, err := natswire.Connect(url, options...)
		if !errors.Is(err, nats.ErrNoServers) {
			return conn, err
		}
		if !waiting {
			b.config.Logger.Warn("no NATS server yet", "url", subjects.WithoutUser(url), "waiting", b.config.Patience)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: start it, or name another with --nats", err)
		}
	}
}

// awaitJetStream waits for a cluster that has no leader yet: it may be starting
// as well.
func (b *Bus) awaitJetStream(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, b.config.Patience)
	defer cancel()
	for waiting := false; ; waiting = true {
		attempt, cancel := context.WithTimeout(ctx, connectTimeout)
		_, err := b.js.AccountInfo(attempt)
		cancel()
		switch {
		case err == nil:
			return nil
		case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
			return ErrNoJetStream
		case !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil:
			return fmt.Errorf("jetstream account: %w", err)
		}
		if !waiting {
			b.config.Logger.Warn("JetStream does not answer yet", "waiting", b.config.Patience)
		}
	}
}

// reports are the options that log what happens to the connection.
func (b *Bus) reports() []nats.Option {
	log := b.config.Logger
	return []nats.Option{
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				log.Warn("NATS connection lost", "error", err)
			}
		}),
		nats.ReconnectHandler(func(c *nats.Conn) {
			b.noteServers(c)
			log.Info("NATS connection is back", "url", subjects.WithoutUser(c.ConnectedUrl()))
		}),
		nats.DiscoveredServersHandler(b.noteServers),
		nats.ErrorHandler(func(_ *nats.Conn, s *nats.Subscription, err error) {
			subject := ""
			if s != nil {
				subject = s.Subject
			}
			log.Error("NATS", "subject", subject, "error", err)
		}),
		nats.ClosedHandler(func(*nats.Conn) { close(b.closed) }),
	}
}

// URL is where clients reach the server, without what they must present to it.
func (b *Bus) URL() string {
	if b.embedded != nil {
		return b.embedded.server.ClientURL()
	}
	return subjects.WithoutUser(b.conn.ConnectedUrl())
}

// maxPayload is the longest message the server takes, in bytes.
func (b *Bus) maxPayload() int { return int(b.conn.MaxPayload()) }

// Connected says whether the connection is up now.
func (b *Bus) Connected() bool { return b.conn.IsConnected() }

// awaitConnected waits until the connection is up, or for ctx.
func (b *Bus) awaitConnected(ctx context.Context) error {
	if b.conn.IsConnected() {
		return nil
	}
	changed := b.conn.StatusChanged(nats.CONNECTED, nats.CLOSED)
	defer b.conn.RemoveStatusListener(changed)
	for !b.conn.IsConnected() {
		select {
		case <-changed:
			if b.conn.IsClosed() {
				return nats.ErrConnectionClosed
			}
		case <-ctx.Done():
			return fmt.Errorf("no connection to NATS: %w", ctx.Err())
		}
	}
	return nil
}

// insistPause is between two attempts of an operation.
const insistPause = 100 * time.Millisecond

// insist repeats an operation until ctx is over, while nobody is there to carry it
// out, or it ends with one of again: a stream has no leader for a while when that
// dies, and a bucket in memory goes with its server. missed is called between the
// attempts. It does not begin without a connection: what nats.go keeps to send
// later would overwrite what others have written until then.
func (b *Bus) insist(ctx context.Context, missed func(), operation func() error, again ...error) error {
	again = append(again, jetstream.ErrNoStreamResponse, nats.ErrNoResponders, jetstream.ErrStreamNotFound)
	for {
		if err := b.awaitConnected(ctx); err != nil {
			return err
		}
		err := operation()
		if !slices.ContainsFunc(again, func(other error) bool { return errors.Is(err, other) }) {
			return err
		}
		missed()
		if pause(ctx, insistPause) != nil {
			return err
		}
	}
}

// copies is how many copies JetStream keeps of everything.
func (b *Bus) copies() int {
	switch {
	case b.config.Replicas > 0:
		return b.config.Replicas
	case b.conn.ConnectedClusterName() != "":
		return 3
	default:
		return 1
	}
}

func (b *Bus) storage() jetstream.StorageType {
	if b.config.Memory {
		return jetstream.MemoryStorage
	}
	return jetstream.FileStorage
}

// Publish announces something to whoever listens.
func (b *Bus) Publish(subject string, body []byte) error { return b.conn.Publish(subject, body) }

// Closed is closed when the connection is gone for good, by Close or otherwise.
func (b *Bus) Closed() <-chan struct{} { return b.closed }

// Close waits a little for calls that still run, sends what is still to be sent,
// and closes the connection and the embedded server. Further calls do nothing.
func (b *Bus) Close() { b.closeOnce.Do(b.close) }

func (b *Bus) close() {
	b.stopWorkers()
	if b.state != nil {
		b.state.follower.stop()
	}
	if b.conn != nil {
		if b.conn.IsConnected() {
			if err := b.conn.FlushTimeout(closeTimeout); err != nil {
				b.config.Logger.Warn("NATS connection could not be flushed", "error", err)
			}
		}
		b.conn.Close()
		<-b.closed
	}
	if b.embedded != nil {
		b.embedded.stop()
	}
}

func (b *Bus) stopWorkers() {
	stopped := make(chan struct{})
	go func() {
		b.workers.stop()
		close(stopped)
	}()
	select {
	case <-stopped:
	case <-time.After(closeTimeout):
		b.config.Logger.Warn("calls that do not end are left behind")
	}
}

// subscribe subscribes with bounds of our own; the handler runs on one
// goroutine for the subscription and must not block.
func (b *Bus) subscribe(subject, queue string, handle nats.MsgHandler) (*nats.Subscription, error) {
	s, err := b.conn.QueueSubscribe(subject, queue, handle)
	if err != nil {
		return nil, fmt.Errorf("subscribe %s: %w", subject, err)
	}
	if err := s.SetPendingLimits(pendingMessages, pendingBytes); err != nil {
		return nil, fmt.Errorf("subscribe %s: %w", subject, err)
	}
	return s, nil
}

// lastToken is the last token of a subject.
func lastToken(subject string) string { return subject[strings.LastIndexByte(subject, '.')+1:] }
