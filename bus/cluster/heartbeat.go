package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/sdk/jet"
	"github.com/pluginhost/pluginhost/subjects"
)

// Lease is how long a replica counts as alive after its heartbeat was last seen
// to move.
const Lease = 3 * time.Second

// recordTTL is when the server forgets the record of a replica that is gone;
// nothing but tidiness depends on it.
const recordTTL = 10 * Lease

// beatPause is between two attempts to write the record.
const beatPause = Lease / 30

// Heartbeat keeps this replica's record in the state bucket and watches those
// of the others.
type Heartbeat struct {
	handle  *jet.Handle
	key     string
	content func() any
	kv      jetstream.KeyValue
	started time.Time
	unhear  func() // stops listening to the state
	cancel  context.CancelFunc
	done    sync.WaitGroup
	// writing is held while a record is made and published, so that none overtakes a
	// newer one.
	writing sync.Mutex

	mu      sync.Mutex
	seen    map[string]sighting // by key
	changed chan struct{}       // closed at the next sighting
	begun   bool                // all that was there when we began to look was seen
	// trusted is until when others must count us as alive, and lapses how often
	// that was over before the next beat was written.
	trusted time.Time
	begunAt time.Time // when the beat was begun that trusted goes by
	lapses  uint64
	written uint64 // the revision of the newest record that was written
	// writtenAt is when that write was begun, and seenUpTo when the newest was that we have seen as
	// well: all that others wrote before, we have seen, and of what they wrote later nothing is
	// certain.
	writtenAt, seenUpTo time.Time
	wanted              chan struct{} // has a token when a beat would tell whether another replica is dead
}

// sighting is the last time a record moved, by our own monotonic clock: clocks
// of other machines are not to be trusted.
type sighting struct {
	revision uint64
	at       time.Time
	// first is a record that was there before we looked, and has not moved since; lost one
	// that is gone without a word.
	first  bool
	lost   bool
	record subjects.Heartbeat
}

// StartHeartbeat writes the record of a replica three times a lease: a JSON
// document of what content returns. The caller stops it.
func StartHeartbeat(ctx context.Context, handle *jet.Handle, replica string, content func() any) (*Heartbeat, error) {
	state, err := handle.State(ctx)
	if err != nil {
		return nil, err
	}
	kv, err := handle.OpenBucket(ctx, jet.StateBucket)
	if err != nil {
		return nil, err
	}
	h := &Heartbeat{handle: handle, key: subjects.HeartbeatKey(replica), content: content, kv: kv, started: time.Now(), seen: make(map[string]sighting), changed: make(chan struct{}), wanted: make(chan struct{}, 1)}
	first := func(ctx context.Context) (struct{}, error) { return struct{}{}, h.beat(ctx) }
	_, err = jet.Prepare(ctx, handle, first)
	if jet.IsFullStore(err) {
		handle.KeepOffer(ctx, true)
		_, err = jet.Prepare(ctx, handle, first)
	}
	if err != nil {
		return nil, fmt.Errorf("heartbeat: %w", err)
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	h.cancel = cancel
	h.unhear = state.Listen(strings.TrimSuffix(subjects.HeartbeatKeys, "*"), h.note)
	h.mu.Lock()
	h.begun = true
	h.mu.Unlock()
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
		case <-h.wanted:
		}
		if err := h.beat(ctx); err != nil && ctx.Err() == nil {
			h.handle.Logger().Warn("heartbeat could not be written", "error", err)
		}
	}
}

// Beat writes the record now, for a change that others should see at once.
func (h *Heartbeat) Beat(ctx context.Context) error { return h.beat(ctx) }

// beatSeen writes the record, and returns once this replica has followed the bucket up to
// it: a replica that has not seen the record yet knows nothing newer than this one.
func (h *Heartbeat) beatSeen(ctx context.Context) error {
	if err := h.beat(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, Lease)
	defer cancel()
	h.mu.Lock()
	written := h.written
	h.mu.Unlock()
	for {
		h.mu.Lock()
		changed, seen := h.changed, h.seen[h.key].revision
		h.mu.Unlock()
		if seen >= written {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("heartbeat: %w", context.Cause(ctx))
		}
	}
}

// beat writes the record, and again at once where no answer comes: one that is lost
// must not make this replica count as gone.
func (h *Heartbeat) beat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, Lease)
	defer cancel()
	for {
		err := h.write(ctx)
		if err == nil || jet.Pause(ctx, beatPause) != nil {
			return err
		}
	}
}

// write tries to write the record.
func (h *Heartbeat) write(ctx context.Context) error {
	h.writing.Lock()
	defer h.writing.Unlock()
	body, err := json.Marshal(h.content())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, Lease/6)
	defer cancel()
	begun := time.Now()
	ack, err := h.handle.JetStream().PublishMsg(ctx, jet.StateBucket.Message(h.key, body), jetstream.WithMsgTTL(recordTTL), jetstream.WithRetryAttempts(0))
	if err != nil {
		h.handle.Writes().Failed(jet.StateBucket.Stream(), begun, err)
		return err
	}
	h.handle.Writes().CarriedOut(jet.StateBucket.Stream())
	h.mu.Lock()
	defer h.mu.Unlock()
	h.written, h.writtenAt = ack.Sequence, begun
	h.follow()
	if time.Now().After(h.trusted) || jet.WallPassed(h.begunAt, begun) > trust {
		h.lapses++
	}
	if until := begun.Add(trust); until.After(h.trusted) {
		h.trusted, h.begunAt = until, begun
	}
	return nil
}

// note notes that a record has moved.
func (h *Heartbeat) note(c jet.Change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	close(h.changed)
	h.changed = make(chan struct{})
	now := time.Now()
	switch {
	case c.Anew:
		h.renew()
		return
	case c.Gone && (c.Revision != 0 || !h.alive(c.Key)):
		delete(h.seen, c.Key)
		return
	case c.Gone: // the bucket lost it: a replica that lives writes it again within its lease
		last := h.seen[c.Key]
		last.lost = true
		h.seen[c.Key] = last
		return
	}
	last, known := h.seen[c.Key]
	if known && last.revision >= c.Revision {
		return
	}
	if known && last.revision == 0 && c.There {
		now = last.at // it may be any that was written before
	}
	if c.Key == h.key && now.Sub(last.at) >= Lease {
		// We have seen nothing for a while: it says nothing about the others.
		for key, other := range h.seen {
			other.at = now
			h.seen[key] = other
		}
	}
	next := sighting{revision: c.Revision, at: now, first: !known && (!h.begun || c.There)}
	if err := json.Unmarshal(c.Value, &next.record); err != nil {
		h.handle.Logger().Warn("a heartbeat cannot be read", "key", c.Key, "error", err)
	}
	h.seen[c.Key] = next
	h.follow()
	for key, other := range h.seen {
		if other.lost && !h.alive(key) {
			delete(h.seen, key)
		}
	}
}

// follow notes up to when we have seen what others wrote; mu is held.
func (h *Heartbeat) follow() {
	if h.written > 0 && h.seen[h.key].revision >= h.written {
		h.seenUpTo = h.writtenAt
	}
}

// silence is how long a replica has said nothing for certain; mu is held. A watch that stalls shows
// neither our beats nor those of others, and the time since the newest of each differs by up to one
// pause between beats: what counts is up to when we have seen everything.
func (h *Heartbeat) silence(last sighting) time.Duration { return max(h.seenUpTo.Sub(last.at), 0) }

// renew forgets at which revisions records were, as their bucket is another one or came back
// older, and replicas that are gone; mu is held.
func (h *Heartbeat) renew() {
	for key, last := range h.seen {
		if !h.alive(key) {
			delete(h.seen, key)
			continue
		}
		last.revision = 0
		h.seen[key] = last
	}
}

// isFresh says whether what is known of the state bucket is no older than the time
// between two beats, and a little.
func (h *Heartbeat) isFresh() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return jet.Passed(h.seen[h.key].at, time.Now()) < Lease*2/5
}

// Live is how many replicas are alive, this one included. While it does not see
// even its own record move, it counts all it knows of.
func (h *Heartbeat) Live() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	live := 1
	for key := range h.seen {
		if key != h.key && h.alive(key) {
			live++
		}
	}
	return live
}

// Alive says whether a replica may still be alive: its record moved within a lease before this
// replica wrote the newest of its own that it has seen, or this replica sees nothing itself.
func (h *Heartbeat) Alive(replica string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.alive(subjects.HeartbeatKey(replica))
}

// Runs says whether a replica may be alive and serve a plugin. A replica writes its
// record before it runs anything for a plugin.
func (h *Heartbeat) Runs(replica, id string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	key := subjects.HeartbeatKey(replica)
	if !h.alive(key) {
		return false
	}
	last, known := h.seen[key]
	return !known || last.record.Generations[id] != ""
}

// alive is Alive; mu is held.
func (h *Heartbeat) alive(key string) bool {
	if key == h.key {
		return true
	}
	last, known := h.seen[key]
	if h.isBlind() || !known {
		return h.isBlind()
	}
	if h.silence(last) >= Lease {
		return false
	}
	if time.Since(last.at) >= Lease && h.writtenAt.Sub(last.at) < Lease {
		select {
		case h.wanted <- struct{}{}:
		default:
		}
	}
	return true
}

// Others says whether another replica that may be alive has a heartbeat that is accepted by is.
// certain is false if the answer depends only on a heartbeat that was there when we began to look
// and has not been renewed since: its replica may be dead. The answer can change when Changed says
// so, and when a lease is over.
func (h *Heartbeat) Others(is func(subjects.Heartbeat) bool) (found, certain bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for key, last := range h.seen {
		if key == h.key || !h.alive(key) || !is(last.record) {
			continue
		}
		found = true
		if !last.first {
			return true, true
		}
	}
	return found, !found
}

// heard looks at the records of the other replicas of which something was heard within a
// time, a lease or longer, or may have been: isAlive is that this is certain, and no
// longer ago than a lease.
func (h *Heartbeat) heard(within time.Duration, look func(beat subjects.Heartbeat, isAlive bool)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	blind := h.isBlind()
	for key, last := range h.seen {
		if key != h.key && (blind || h.silence(last) < within) {
			look(last.record, !blind && !last.first && time.Since(last.at) < Lease)
		}
	}
}

// isHeard says whether something was heard of a replica within a time, or may have been.
func (h *Heartbeat) isHeard(replica string, within time.Duration) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	key := subjects.HeartbeatKey(replica)
	last, known := h.seen[key]
	return replica != "" && (key == h.key || h.isBlind() || known && h.silence(last) < within)
}

// isBlind says that this replica does not see even its own record move; mu is held.
func (h *Heartbeat) isBlind() bool { return time.Since(h.seen[h.key].at) >= Lease }

// Trust is until when all others must count this replica as alive, by its own
// clock, and how often that was over before it wrote another record: what is ours
// while we live may have been taken then.
func (h *Heartbeat) Trust() (until time.Time, lapses uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if now := time.Now(); jet.WallPassed(h.begunAt, now) > trust {
		return time.Time{}, h.lapses
	}
	return h.trusted, h.lapses
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
	h.unhear()
	if err := h.kv.Purge(ctx, h.key, jetstream.PurgeTTL(recordTTL)); err != nil {
		return fmt.Errorf("remove heartbeat: %w", err)
	}
	return nil
}
