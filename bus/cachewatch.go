package bus

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/subjects"
)

const (
	// cachePatience is how long a server that keeps a copy of the stream may lag
	// behind its leader before the watch begins anew.
	cachePatience = time.Second
	cacheLag      = 5 * time.Millisecond
	// cachePause is from the beginning of one watch to that of the next, at least.
	cachePause = time.Second
	// cacheBatch is how many updates are fetched at once.
	cacheBatch = 500
	// cacheIdle is after how long the server forgets a watch that nobody needs.
	cacheIdle = time.Minute
)

// errCacheStream says that the bucket is not the one that was watched.
var errCacheStream = errors.New("the cache's bucket was made anew")

// cacheWatch keeps an index current: whenever asked, and only then, it fetches
// what has happened until the index has everything that the stream's leader has.
// Copies are answered only for a while after that.
type cacheWatch struct {
	cache  *Cache
	asked  chan struct{} // has a token when somebody wants the index confirmed
	cancel context.CancelFunc
	done   sync.WaitGroup

	// What follows is the goroutine's own.
	created  time.Time // of the stream
	consumer jetstream.Consumer
	fetched  uint64 // messages of consumer that came
}

func startCacheWatch(ctx context.Context, cache *Cache) *cacheWatch {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	w := &cacheWatch{cache: cache, asked: make(chan struct{}, 1), cancel: cancel}
	w.ask()
	w.done.Go(func() { w.run(ctx) })
	return w
}

func (w *cacheWatch) stop() {
	w.cancel()
	w.done.Wait()
}

// ask wants the index confirmed soon.
func (w *cacheWatch) ask() {
	select {
	case w.asked <- struct{}{}:
	default: // somebody has asked already
	}
}

// run watches until it is stopped. Whatever ends a watch, everything is
// forgotten before the next, and misses go on asking the leader meanwhile.
func (w *cacheWatch) run(ctx context.Context) {
	for {
		pause := time.After(cachePause)
		err := w.watch(ctx)
		w.cache.index.reset()
		if ctx.Err() != nil {
			return
		}
		w.cache.bus.config.Logger.Warn("the cache's watch begins anew", "error", err)
		select {
		case <-ctx.Done():
			return
		case <-pause:
		}
	}
}

// watch confirms the index whenever asked, until that cannot go on.
func (w *cacheWatch) watch(ctx context.Context) error {
	info, err := w.info(ctx)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		if _, err = w.cache.bus.ensureBucket(ctx, subjects.CacheBucket); err == nil {
			info, err = w.info(ctx)
		}
	}
	if err != nil {
		return err
	}
	w.created, w.consumer = info.Created, nil
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-w.asked:
		}
		err := w.confirm(ctx)
		if errors.Is(err, errCacheStream) || errors.Is(err, jetstream.ErrStreamNotFound) {
			return err
		}
		if err != nil {
			// The index is as it was, and unconfirmed; who needs it asks again.
			w.cache.bus.config.Logger.Debug("the cache's copies are not confirmed", "error", err)
			w.consumer = nil
		}
	}
}

// info asks the stream's leader, who alone answers, for the state of the stream.
func (w *cacheWatch) info(ctx context.Context) (*jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, cacheTimeout)
	defer cancel()
	stream, err := w.cache.bus.js.Stream(ctx, cacheStream)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cacheStream, err)
	}
	return stream.CachedInfo(), nil
}

// confirm fetches updates until the index has everything that the leader had when
// it was asked. A bucket that has been replaced is errCacheStream.
func (w *cacheWatch) confirm(ctx context.Context) error {
	index := w.cache.index
	at := index.now()
	info, err := w.info(ctx)
	if err != nil {
		return err
	}
	last := info.State.LastSeq
	if !info.Created.Equal(w.created) || last < index.progress() {
		return errCacheStream
	}
	for begun := time.Now(); index.progress() < last; {
		n, err := w.fetch(ctx)
		if err != nil {
			return err
		}
		if n > 0 {
			continue
		}
		// What is missing may be gone from the stream, or late.
		newest, err := w.newest(ctx)
		switch {
		case err != nil:
			return err
		case index.progress() >= newest:
			index.skip(last)
		case time.Since(begun) > cachePatience:
			return fmt.Errorf("the watch stands at %d, the stream at %d", index.progress(), newest)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(cacheLag):
		}
	}
	index.confirm(at, info.State.FirstSeq)
	return nil
}

// fetch applies updates that are there, and returns how many.
func (w *cacheWatch) fetch(ctx context.Context) (n int, err error) {
	if w.consumer == nil {
		ctx, cancel := context.WithTimeout(ctx, cacheTimeout)
		defer cancel()
		w.fetched = 0
		w.consumer, err = w.cache.stream.CreateConsumer(ctx, jetstream.ConsumerConfig{
			DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: w.cache.index.progress() + 1,
			AckPolicy: jetstream.AckNonePolicy, HeadersOnly: true,
			Replicas: 1, MemoryStorage: true, InactiveThreshold: cacheIdle,
		})
		if err != nil {
			return 0, fmt.Errorf("watch: %w", err)
		}
	}
	batch, err := w.consumer.FetchNoWait(cacheBatch)
	if err != nil {
		return 0, fmt.Errorf("fetch: %w", err)
	}
	for msg := range batch.Messages() {
		metadata, err := msg.Metadata()
		if err != nil {
			return n, err
		}
		if w.fetched++; metadata.Sequence.Consumer != w.fetched {
			return n, fmt.Errorf("update %d of the watch came in place of %d", metadata.Sequence.Consumer, w.fetched)
		}
		w.apply(msg, metadata.Sequence.Stream)
		n++
	}
	return n, batch.Error()
}

// newest is the sequence of the last message that the stream has; 0 is none.
func (w *cacheWatch) newest(ctx context.Context) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, cacheTimeout)
	defer cancel()
	msg, err := w.cache.stream.GetLastMsgForSubject(ctx, "$KV."+subjects.CacheBucket+".>")
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return 0, nil
	case err != nil:
		return 0, err
	}
	return msg.Sequence, nil
}

// apply tells the index of one message.
func (w *cacheWatch) apply(msg jetstream.Msg, revision uint64) {
	u, ok := parseCacheUpdate(msg.Subject(), msg.Headers())
	if !ok {
		w.cache.index.skip(revision)
		return
	}
	u.revision = revision
	w.cache.index.apply(u)
}

// parseCacheUpdate reads a message of the bucket. What others have put there is
// no update.
func parseCacheUpdate(subject string, header map[string][]string) (u cacheUpdate, ok bool) {
	first := func(key string) string {
		if values := header[key]; len(values) > 0 {
			return values[0]
		}
		return ""
	}
	tokens := strings.Split(subject, ".")
	if len(tokens) != 4 {
		return u, false
	}
	u.token = tokens[2]
	u.removed = first(headerOperation) != "" || first(jetstream.MarkerReasonHeader) != ""
	if tokens[3] == subjects.PurgedToken {
		u.purged = true
		return u, first(headerOperation) != "" // and not its expiry
	}
	if len(tokens[3]) != hex.EncodedLen(len(u.key)) {
		return u, false
	}
	if _, err := hex.Decode(u.key[:], []byte(tokens[3])); err != nil {
		return u, false
	}
	u.size, _ = strconv.ParseInt(first(nats.MsgSize), 10, 64)
	u.ttl = cacheTTL(first(jetstream.MsgTTLHeader))
	return u, true
}
