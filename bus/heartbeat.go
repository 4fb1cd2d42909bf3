package bus

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/subjects"
)

// Lease is how long a replica counts as alive after its heartbeat was last seen
// to move.
const Lease = 3 * time.Second

// recordTTL is when the server forgets the record of a replica that is gone;
// nothing but tidiness depends on it.
const recordTTL = 10 * Lease

// Heartbeat keeps this replica's record in the state bucket and watches those
// of the others.
type Heartbeat struct {
	bus     *Bus
	key     string
	content func() any
	kv      jetstream.KeyValue
	cancel  context.CancelFunc
	done    sync.WaitGroup

	mu      sync.Mutex
	seen    map[string]sighting // by key
	changed chan struct{}       // closed at the next sighting
}

// sighting is the last time a record moved, by our own monotonic clock: clocks
// of other machines are not to be trusted.
type sighting struct {
	revision uint64
	at       time.Time
}

// StartHeartbeat writes the record of a replica three times a lease: a JSON
// document of what content returns. The caller stops it.
func (b *Bus) StartHeartbeat(ctx context.Context, replica string, content func() any) (*Heartbeat, error) {
	kv, err := b.ensureBucket(ctx, stateBucket)
	if err != nil {
		return nil, err
	}
	h := &Heartbeat{bus: b, key: subjects.HeartbeatKey(replica), content: content, kv: kv, seen: make(map[string]sighting), changed: make(chan struct{})}
	if err := h.beat(ctx); err != nil {
		return nil, fmt.Errorf("heartbeat: %w", err)
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	h.cancel = cancel
	watcher, err := kv.Watch(running, subjects.HeartbeatKeys)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("watch heartbeats: %w", err)
	}
	h.done.Go(func() { h.watch(running, watcher) })
	h.done.Go(func() { h.run(running) })
	return h, nil
}

func (h *Heartbeat) run(ctx context.Context) {
	ticker := time.NewTicker(Lease / 3)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := h.beat(ctx); err != nil && ctx.Err() == nil {
			h.bus.config.Logger.Warn("heartbeat could not be written", "error", err)
		}
	}
}

// Beat writes the record now, for a change that others should see at once.
func (h *Heartbeat) Beat(ctx context.Context) error { return h.beat(ctx) }

func (h *Heartbeat) beat(ctx context.Context) error {
	body, err := json.Marshal(h.content())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, Lease)
	defer cancel()
	// Put of nats.go has no TTL; what it publishes is this message.
	msg := nats.NewMsg("$KV." + subjects.StateBucket + "." + h.key)
	msg.Data = body
	_, err = h.bus.js.PublishMsg(ctx, msg, jetstream.WithMsgTTL(recordTTL))
	return err
}

func (h *Heartbeat) watch(ctx context.Context, watcher jetstream.KeyWatcher) {
	defer func() { _ = watcher.Stop() }()
	for {
		select {
		case <-ctx.Done():
			return
		case entry, open := <-watcher.Updates():
			if !open {
				return
			}
			if entry != nil {
				h.note(entry)
			}
		}
	}
}

func (h *Heartbeat) note(entry jetstream.KeyValueEntry) {
	h.mu.Lock()
	defer h.mu.Unlock()
	close(h.changed)
	h.changed = make(chan struct{})
	if entry.Operation() != jetstream.KeyValuePut {
		delete(h.seen, entry.Key())
		return
	}
	last, now := h.seen[entry.Key()], time.Now()
	if last.revision >= entry.Revision() {
		return
	}
	if entry.Key() == h.key && now.Sub(last.at) >= Lease {
		// We have seen nothing for a while: it says nothing about the others.
		for key, other := range h.seen {
			h.seen[key] = sighting{other.revision, now}
		}
	}
	h.seen[entry.Key()] = sighting{entry.Revision(), now}
}

// Live is how many replicas are alive, this one included. While it does not see
// even its own record move, it counts all it knows of.
func (h *Heartbeat) Live() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	blind := time.Since(h.seen[h.key].at) >= Lease
	live := 1
	for key, last := range h.seen {
		if key != h.key && (blind || time.Since(last.at) < Lease) {
			live++
		}
	}
	return live
}

// Changed returns a channel that is closed when a record is next seen to move.
func (h *Heartbeat) Changed() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.changed
}

// Stop removes the record and stops watching.
func (h *Heartbeat) Stop(ctx context.Context) error {
	h.cancel()
	h.done.Wait()
	if err := h.kv.Purge(ctx, h.key, jetstream.PurgeTTL(recordTTL)); err != nil {
		return fmt.Errorf("remove heartbeat: %w", err)
	}
	return nil
}
