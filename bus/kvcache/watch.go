package kvcache

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
	"golang.org/x/time/rate"

	"github.com/pluginhost/pluginhost/sdk/jet"
	"github.com/pluginhost/pluginhost/subjects"
)

const (
	// cachePatience is how long a server that keeps a copy of the stream may lag
	// behind its leader before the watch begins anew.
	cachePatience = time.Second
	cacheLag      = 5 * time.Millisecond
	// cacheAttempt is how long the leader is given to answer a question before it
	// is asked again: while there is none, questions get lost.
	cacheAttempt = time.Second
	// cachePause is from the beginning of one watch to that of the next, at least.
	cachePause = time.Second
	// cacheBatch is how many updates are fetched at once.
	cacheBatch = 500
)

var (
	// errCacheStream says that the bucket is not the one that was watched.
	errCacheStream = errors.New("the cache's bucket was made anew")
	// errCacheGap says that the server may have stopped telling of something before
	// it was fetched.
	errCacheGap = errors.New("the cache was not watched for a while")
)

// cacheWatch keeps an index current: whenever asked, and now and then, it fetches
// what has happened until the index has everything that the stream's leader has.
// Copies are answered only for a while after that.
type cacheWatch struct {
	cache    *Cache
	asked    chan struct{} // has a token when somebody wants the index confirmed
	warnings *rate.Limiter
	failing  *jet.Transient // the watch
	cancel   context.CancelFunc
	done     sync.WaitGroup

	// What follows is the goroutine's own.
	created  time.Time // of the stream
	consumer jetstream.Consumer
	fetched  uint64 // messages of consumer that came
}

func startCacheWatch(ctx context.Context, cache *Cache) *cacheWatch {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	w := &cacheWatch{cache: cache, asked: make(chan struct{}, 1), failing: cache.handle.NewTransient(), warnings: rate.NewLimiter(rate.Every(10*time.Second), 3), cancel: cancel}
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
// forgotten then, and again once the next one knows its bucket; misses go on asking the
// leader meanwhile.
func (w *cacheWatch) run(ctx context.Context) {
	for {
		next := time.After(cachePause)
		err := w.watch(ctx)
		w.cache.index.reset()
		if ctx.Err() != nil {
			return
		}
		w.failing.Failed(ctx, w.cache.handle.Logger(), time.Now(), "the cache's watch begins anew", "error", err)
		select {
		case <-ctx.Done():
			return
		case <-next:
		}
	}
}

func (w *cacheWatch) warn(message string, err error) {
	if w.warnings.Allow() {
		w.cache.handle.Logger().Warn(message, "error", err)
	}
}

// watch confirms the index whenever asked, and often enough to miss nothing,
// until that cannot go on.
func (w *cacheWatch) watch(ctx context.Context) error {
	info, err := w.info(ctx)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		if _, err = w.cache.handle.EnsureBucket(ctx, jet.CacheBucket); err == nil {
			info, err = w.info(ctx)
		}
	}
	if err != nil {
		return err
	}
	w.created = info.Created
	// What was read since the last watch ended may be of a bucket between that and this one.
	w.cache.index.reset()
	defer w.forgetConsumer(ctx)
	often := time.NewTicker(subjects.CacheMarkerTTL / 4)
	defer often.Stop()
	for w.ask(); ; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-often.C:
			for _, token := range w.cache.index.tokens() {
				w.cache.index.sweep(token)
			}
		case <-w.asked:
		}
		if err := w.confirm(ctx); err != nil {
			return err
		}
		w.failing.Works()
	}
}

// forgetConsumer spares the server a consumer that nobody uses any more.
func (w *cacheWatch) forgetConsumer(ctx context.Context) {
	if w.consumer == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cacheAttempt)
	defer cancel()
	if w.cache.handle.Connected() {
		_ = w.cache.stream.DeleteConsumer(ctx, w.consumer.CachedInfo().Name) // or the server forgets it after a minute
	}
	w.consumer = nil
}

// info asks the stream's leader, who alone answers, for the state of the stream
// and its clock.
func (w *cacheWatch) info(ctx context.Context) (*jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, cacheAttempt)
	defer cancel()
	asked, before := w.cache.index.now(), w.cache.index.changes()
	stream, err := w.cache.handle.JetStream().Stream(ctx, jet.CacheBucket.Stream())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", jet.CacheBucket.Stream(), err)
	}
	info := stream.CachedInfo()
	w.cache.index.setClock(info.TimeStamp, asked)
	w.cache.index.holds(int64(info.State.Bytes), before) // #nosec G115 -- no disk has as many bytes
	return info, nil
}

// confirm fetches updates until the index has everything that the leader had when
// it was asked. A leader that does not answer leaves it unconfirmed; after an
// error the watch has to begin anew.
func (w *cacheWatch) confirm(ctx context.Context) error {
	index := w.cache.index
	at := index.now()
	last, first, err := w.state(ctx)
	if errors.Is(err, errCacheStream) || errors.Is(err, jetstream.ErrStreamNotFound) {
		return err
	}
	if err != nil {
		if ctx.Err() == nil {
			w.warn("copies of the cache are not confirmed", err)
		}
		return nil
	}
	if index.gap() > subjects.CacheMarkerTTL/2 {
		return errCacheGap
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
		if err := jet.Pause(ctx, cacheLag); err != nil {
			return err
		}
	}
	index.confirm(at, first)
	return nil
}

// state is the last and the first sequence of the stream.
func (w *cacheWatch) state(ctx context.Context) (last, first uint64, err error) {
	for again := false; ; again = true {
		progress := w.cache.index.progress()
		info, err := w.info(ctx)
		switch {
		case err != nil:
			return 0, 0, err
		case !info.Created.Equal(w.created):
			return 0, 0, errCacheStream
		case info.State.LastSeq >= progress:
			return info.State.LastSeq, info.State.FirstSeq, nil
		case again:
			return 0, 0, errCacheStream
		}
		// The server that told us may be ahead of the leader by a moment.
		if err := jet.Pause(ctx, cacheLag); err != nil {
			return 0, 0, err
		}
	}
}

// fetch applies updates that are there, and returns how many.
func (w *cacheWatch) fetch(ctx context.Context) (n int, err error) {
	if w.consumer == nil {
		ctx, cancel := context.WithTimeout(ctx, cacheTimeout)
		defer cancel()
		w.fetched = 0
		w.consumer, err = w.cache.stream.CreateConsumer(ctx, jetstream.ConsumerConfig{
			DeliverPolicy: jetstream.DeliverAllPolicy, AckPolicy: jetstream.AckNonePolicy, HeadersOnly: true,
			Replicas: 1, MemoryStorage: true, InactiveThreshold: subjects.CacheMarkerTTL,
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
		w.apply(msg, metadata)
		n++
	}
	return n, batch.Error()
}

// newest is the sequence of the last message that the stream has; 0 is none.
func (w *cacheWatch) newest(ctx context.Context) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, cacheAttempt)
	defer cancel()
	msg, err := w.cache.stream.GetLastMsgForSubject(ctx, subjects.CacheSubject+">")
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return 0, nil
	case err != nil:
		return 0, err
	}
	return msg.Sequence, nil
}

// apply tells the index of one message.
func (w *cacheWatch) apply(msg jetstream.Msg, metadata *jetstream.MsgMetadata) {
	u, ok := parseCacheUpdate(msg.Subject(), msg.Headers())
	if !ok {
		w.cache.index.skip(metadata.Sequence.Stream)
		return
	}
	u.revision = metadata.Sequence.Stream
	u.expires = w.cache.index.expiry(metadata.Timestamp, cacheTTL(msg.Headers()))
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
	u.removed = first(subjects.KVOperation) != ""
	if tokens[3] == subjects.PurgedToken {
		u.purged = true
		return u, u.removed
	}
	if len(tokens[3]) != hex.EncodedLen(len(u.key)) {
		return u, false
	}
	if _, err := hex.Decode(u.key[:], []byte(tokens[3])); err != nil {
		return u, false
	}
	u.size, _ = strconv.ParseInt(first(nats.MsgSize), 10, 64)
	return u, true
}
