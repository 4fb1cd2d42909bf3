package jet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Config configures a Handle.
type Config struct {
	// Conn is the connection that JetStream is asked over. The Handle does not close it.
	Conn *nats.Conn
	// Purpose is what errors call the connection.
	Purpose string
	// Logger receives what a Handle waits for. Defaults to slog.Default().
	Logger *slog.Logger
	// Patience is how long streams, buckets and consumers may take to be made or opened.
	Patience time.Duration
	// Lease is the time by which others judge this program: followers compare a bucket with what
	// they have told three times in it, and writes that fail for two of it are a fault.
	Lease time.Duration
	// RemovedTTL is how long it is told that a record was removed, in whole seconds. Defaults to a minute.
	RemovedTTL time.Duration
	// Replicas is how many copies are made. Defaults to 3 on a clustered server and 1 otherwise.
	Replicas int
	// Memory keeps data in memory instead of files.
	Memory bool
	// Limit returns how many bytes the server itself stores, 0 if it does not say. Optional.
	Limit func() int64
}

// Handle is what a program does with JetStream: it makes and opens streams and KV buckets, follows
// buckets, and tries again while nobody answers. It is safe for concurrent use. Close ends what it
// has begun.
type Handle struct {
	config Config
	js     jetstream.JetStream
	writes *Writes
	offer  offer

	mu    sync.Mutex
	state *View // nil until it is first asked for
}

// New returns a Handle. It asks the server nothing yet. The caller closes it.
func New(config Config) (*Handle, error) {
	if config.Logger == nil {
		config.Logger = slog.Default()
	}
	if config.RemovedTTL == 0 {
		config.RemovedTTL = removedTTL
	}
	js, err := jetstream.New(config.Conn)
	if err != nil {
		return nil, fmt.Errorf("jetstream: %w", err)
	}
	return &Handle{config: config, js: js, writes: newWrites(config.Lease)}, nil
}

// Close ends the follower of the state bucket, if there is one, and waits for it. Other followers
// are stopped by those who began them.
func (h *Handle) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.state != nil {
		h.state.follower.Stop()
	}
}

// JetStream is the client of nats.go that the Handle uses.
func (h *Handle) JetStream() jetstream.JetStream { return h.js }

// Logger is where the Handle logs.
func (h *Handle) Logger() *slog.Logger { return h.config.Logger }

// Lease is that of the configuration.
func (h *Handle) Lease() time.Duration { return h.config.Lease }

// Writes tells which writes to JetStream fail.
func (h *Handle) Writes() *Writes { return h.writes }

// Connected says whether the connection is up now.
func (h *Handle) Connected() bool { return h.config.Conn.IsConnected() }

// AwaitConnected waits until the connection is up, or for ctx.
func (h *Handle) AwaitConnected(ctx context.Context) error {
	return AwaitConnected(ctx, h.config.Conn, h.config.Purpose)
}

// AwaitConnected waits until a connection is up, or for ctx. The error calls the connection by its
// purpose.
func AwaitConnected(ctx context.Context, conn *nats.Conn, purpose string) error {
	if conn.IsConnected() {
		return nil
	}
	changed := conn.StatusChanged(nats.CONNECTED, nats.CLOSED)
	defer conn.RemoveStatusListener(changed)
	for !conn.IsConnected() {
		select {
		case <-changed:
			if conn.IsClosed() {
				return nats.ErrConnectionClosed
			}
		case <-ctx.Done():
			return fmt.Errorf("no connection to NATS for %s: %w", purpose, ctx.Err())
		}
	}
	return nil
}

// RetryPause is between two attempts of an operation.
const RetryPause = 100 * time.Millisecond

// Insist repeats an operation until ctx is over, while nobody is there to carry it out, or it ends
// with one of again: a stream has no leader for a while when that dies, and a bucket in memory goes
// with its server. missed is called between the attempts. Insist does not begin without a
// connection: what nats.go keeps to send later would overwrite what others have written until then.
func (h *Handle) Insist(ctx context.Context, missed func(), operation func() error, again ...error) error {
	again = append(again, jetstream.ErrNoStreamResponse, nats.ErrNoResponders, jetstream.ErrStreamNotFound)
	for {
		if err := h.AwaitConnected(ctx); err != nil {
			return err
		}
		err := operation()
		if !slices.ContainsFunc(again, func(other error) bool { return errors.Is(err, other) }) {
			return err
		}
		missed()
		if Pause(ctx, RetryPause) != nil {
			return err
		}
	}
}

// Copies is how many copies JetStream keeps of everything.
func (h *Handle) Copies() int {
	switch {
	case h.config.Replicas > 0:
		return h.config.Replicas
	case h.config.Conn.ConnectedClusterName() != "":
		return 3
	default:
		return 1
	}
}

// HeaderRoom is more than the headers of a message take, in bytes.
const HeaderRoom = 1024

// MaxBody is the longest body that fits a message, in bytes.
func (h *Handle) MaxBody() int { return max(int(h.config.Conn.MaxPayload())-HeaderRoom, 1) }

// Storage is where JetStream keeps everything.
func (h *Handle) Storage() jetstream.StorageType {
	if h.config.Memory {
		return jetstream.MemoryStorage
	}
	return jetstream.FileStorage
}

// Pause waits for d, or for ctx.
func Pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
