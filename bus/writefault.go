package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/bus/cluster"
	"github.com/pluginhost/pluginhost/sdk/jet"
)

// WriteFault says that JetStream takes no writes to a stream of ours, for two leases or
// longer; nil is that it takes them. It is over with the first that is carried out.
func (b *Bus) WriteFault() *jet.WriteFault {
	fault, err := b.jet.Writes().Fault(time.Now())
	if err == nil {
		return nil
	}
	fault.Cause = b.causeOf(err)
	return &fault
}

// watching is the goroutine that looks for faults of writes.
type watching struct {
	cancel context.CancelFunc
	done   sync.WaitGroup

	// Of that goroutine:
	told      string    // the stream of the fault that the log has told last; empty is none
	restarted time.Time // when JetStream of the embedded server was last started again
}

// start begins to look.
func (w *watching) start(b *Bus) {
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	w.done.Go(func() { b.watchWrites(ctx) })
}

// stop ends it, if it was begun, and waits for it.
func (w *watching) stop() {
	if w.cancel != nil {
		w.cancel()
		w.done.Wait()
	}
}

// watchWrites looks for faults until ctx is over: it tells the log when one begins and when
// it is over, and does what can be done about it.
func (b *Bus) watchWrites(ctx context.Context) {
	ticker := time.NewTicker(cluster.Lease / 3)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		b.lookAtWrites(ctx)
	}
}

func (b *Bus) lookAtWrites(ctx context.Context) {
	log := b.config.Logger
	b.keepRoom()
	fault, err := b.jet.Writes().Fault(time.Now())
	defer b.jet.KeepOffer(ctx, err != nil) // last, as it may wait for answers
	if err == nil {
		if b.watching.told != "" {
			log.Info("JetStream takes writes again", "stream", b.watching.told)
		}
		b.watching.told = ""
		return
	}
	isNew := b.watching.told == ""
	b.watching.told = fault.Stream
	if isNew {
		log.Error("JetStream takes no writes: this replica is not ready, and schedules wait; calls go on",
			"stream", fault.Stream, "since", fault.Since.Round(time.Millisecond), "cause", b.causeOf(err))
	}
	if b.embedded != nil && !b.config.Memory && !jet.IsLimit(err) && b.Connected() {
		b.restartJetStream()
	}
}

// causeOf says why writes to a stream fail, in words for an operator.
func (b *Bus) causeOf(err error) string {
	var refused *jetstream.APIError
	switch {
	case !b.Connected():
		return "no connection to NATS"
	case jet.IsLimit(err) && errors.As(err, &refused):
		return fmt.Sprintf("NATS refuses them: %s (%d): a limit of JetStream, of its server, the account or the stream, is reached: "+
			"raise it (max_file_store or max_memory_store, the account's limits, max_bytes), or remove data", refused.Description, refused.ErrorCode)
	case errors.As(err, &refused):
		return fmt.Sprintf("NATS refuses them: %s (%d): see the log of nats-server", refused.Description, refused.ErrorCode)
	case b.embedded != nil:
		return b.embedded.cause(err)
	}
	cause := fmt.Sprintf("JetStream does not answer them (%v): the disk of nats-server is full or read-only, or was (`no space left on device` in its log), or its servers have no majority: "+
		"make room, and restart nats-server, which does not write to a stream any more after a write has failed", err)
	if b.core.ConnectedClusterName() != "" {
		// It leads on while it hangs in a write, and hears no request to step down.
		cause += ". Of several servers restart at once, also without room, the one that answers 503 at /healthz?js-enabled-only=true: it can hang and keep the lead of a stream until it ends"
	}
	return cause
}
