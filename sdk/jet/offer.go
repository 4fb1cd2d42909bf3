package jet

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/subjects"
)

const (
	// CacheShare is the share of the values of the cache in what JetStream has for all that plugins
	// keep: a half.
	CacheShare = 2
	// ScheduleShare is that of schedules with their fires: a quarter. The rest is for the host's own
	// records.
	ScheduleShare = 4
	// offerEvery is how often JetStream is asked how much it offers.
	offerEvery = 10 * time.Second
	// offerPause is between two questions before refusals.
	offerPause = 50 * time.Millisecond
	// offerLearned is for how long a limit counts of which only refused writes have told.
	offerLearned = 24 * time.Hour
	// keptOfShare is how much of their share values take after some gave way.
	keptOfShare = 7.0 / 8
	// giveWayTimeout bounds how long values of the cache take to give way.
	giveWayTimeout = 5 * time.Second
	// MessageOverhead is about what a message takes in a stream beside its body, in bytes.
	MessageOverhead = 320
)

// offer is how much JetStream stores for us, in bytes of one copy. No limit is known of a
// server that is not embedded, if the account has none, until it refuses a write.
type offer struct {
	asking sync.Mutex // of askOfferAgain

	mu    sync.Mutex
	asked time.Time // when it answered last
	// limit is what everything in the account may take; 0 is not known.
	limit int64
	// used is what is taken, and foreign what of it no plugin keeps.
	used, foreign int64
	// learned is the limit that refused writes have told of, when, and on which connection:
	// after that the server may have another.
	learned   int64
	learnedAt time.Time
	connects  uint64
}

// most is how much one of so many shares is; ok is false if no limit is known.
func (o *offer) most(shares int64) (bytes int64, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	limit := o.limit
	if o.isLearned() && (limit == 0 || o.learned < limit) {
		limit = o.learned
	}
	return max(limit-o.foreign, 0) / shares, limit > 0
}

// isLearned says whether the limit that was learned counts; mu is held.
func (o *offer) isLearned() bool { return o.learned > 0 && time.Since(o.learnedAt) < offerLearned }

func (o *offer) isOlder(age time.Duration) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return time.Since(o.asked) > age
}

// told notes an answer, by the connection of so many connects. isFull is that writes are
// refused. What is used then, or was when it was asked before, is what there is: some of it
// may have gone since the refusal, as others make room, too.
func (o *offer) told(limit, used, plugins int64, connects uint64, isFull bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.isLearned() || o.connects != connects {
		o.learned, o.connects = 0, connects
	}
	if isFull {
		o.learned, o.learnedAt = max(o.learned, used, o.used), time.Now()
	}
	o.asked, o.limit, o.used, o.foreign = time.Now(), limit, used, max(used-plugins, 0)
}

// Share is how many bytes one of so many shares of what JetStream stores is; ok is false if no
// limit is known.
func (h *Handle) Share(shares int64) (bytes int64, ok bool) { return h.offer.most(shares) }

// LearnOffer asks how much JetStream offers, unless that was asked a moment ago. That it does not
// answer is logged.
func (h *Handle) LearnOffer(ctx context.Context) {
	if !h.offer.isOlder(offerEvery) {
		return
	}
	if err := h.AskOffer(ctx); err != nil {
		h.config.Logger.Debug("it is not known yet how much JetStream offers", "error", err)
	}
}

// AskOffer asks JetStream how much it offers, and what is taken.
func (h *Handle) AskOffer(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, AttemptTimeout)
	defer cancel()
	isFull := h.writes.isFull()
	account, err := h.js.AccountInfo(ctx)
	if err != nil {
		return fmt.Errorf("jetstream account: %w", err)
	}
	var plugins int64
	for _, name := range []string{CacheBucket.Stream(), ScheduleBucket.Stream(), subjects.FireStream} {
		stream, err := h.js.Stream(ctx, name)
		switch {
		case errors.Is(err, jetstream.ErrStreamNotFound):
		case err != nil:
			return fmt.Errorf("stream %s: %w", name, err)
		default:
			plugins += int64(stream.CachedInfo().State.Bytes) // #nosec G115 -- no disk has as many bytes
		}
	}
	limit, used := oneCopy(account, int64(h.Copies()), h.config.Memory)
	if h.config.Limit != nil {
		if own := h.config.Limit(); own > 0 && (limit == 0 || own < limit) {
			limit = own
		}
	}
	h.offer.told(limit, used, plugins, h.config.Conn.Stats().Reconnects, isFull)
	return nil
}

// AskOfferAgain asks before something is refused by an answer from before, which may be out of
// date. Calls at the same moment share one question.
func (h *Handle) AskOfferAgain(ctx context.Context) {
	begun := time.Now()
	h.offer.asking.Lock()
	defer h.offer.asking.Unlock()
	if !h.offer.isOlder(time.Since(begun)) || Pause(ctx, offerPause) != nil {
		return
	}
	if err := h.AskOffer(ctx); err != nil {
		h.config.Logger.Debug("it is not known how much JetStream offers now", "error", err)
	}
}

// oneCopy is what an account may take, 0 if it has no limit, and what it takes, in bytes of
// one of so many copies.
func oneCopy(account *jetstream.AccountInfo, copies int64, inMemory bool) (limit, used int64) {
	tier, limitCopies := account.Tier, copies
	if t, ok := account.Tiers[fmt.Sprintf("R%d", copies)]; ok {
		tier, limitCopies = t, 1 // the server counts a limit of a tier for each copy
	}
	taken, limit := tier.Store, tier.Limits.MaxStore
	if inMemory {
		taken, limit = tier.Memory, tier.Limits.MaxMemory
	}
	return max(limit, 0) / limitCopies, int64(taken) / copies // #nosec G115 -- no disk has as many bytes
}

// KeepOffer keeps what is known of the offer current. While JetStream is so full that it
// refuses heartbeats, for long, values of the cache that take more than their share give way,
// the oldest first.
func (h *Handle) KeepOffer(ctx context.Context, forLong bool) {
	isFull := h.writes.isFull()
	if !h.Connected() || !isFull && !h.offer.isOlder(offerEvery) {
		return
	}
	if err := h.AskOffer(ctx); err != nil {
		return // it is asked again soon
	}
	if isFull && forLong {
		if err := h.giveWay(ctx); err != nil {
			h.config.Logger.Warn("JetStream is full, and values of the cache could not give way", "error", err)
		}
	}
}

// giveWay removes the oldest of the cache's values if all take more than their share. Replicas
// that find it so at the same moment remove the same.
func (h *Handle) giveWay(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, giveWayTimeout)
	defer cancel()
	stream, err := h.js.Stream(ctx, CacheBucket.Stream())
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	state := stream.CachedInfo().State
	most, ok := h.offer.most(CacheShare)
	if !ok || int64(state.Bytes) <= most || state.Msgs < 2 { // #nosec G115 -- no disk has as many bytes
		return nil
	}
	// A little less than the share, so that who finds it next finds nothing to do.
	kept := max(uint64(float64(state.Msgs)*float64(most)/float64(state.Bytes)*keptOfShare), 1)
	if err := stream.Purge(ctx, jetstream.WithPurgeKeep(kept)); err != nil {
		return err
	}
	h.config.Logger.Warn("JetStream is full: the oldest values of the cache gave way", "bytes", state.Bytes, "allowed", most, "removed", state.Msgs-kept)
	return nil
}
