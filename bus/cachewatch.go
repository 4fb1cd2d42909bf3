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
	// cachePatience is how long the watch may take to catch up with the stream's
	// leader before it is looked into why.
	cachePatience = 500 * time.Millisecond
	// cachePause is from the beginning of one watch to that of the next, at least.
	cachePause = time.Second
)

// errCacheStream says that the bucket is not the one that was watched.
var errCacheStream = errors.New("the cache's bucket was made anew")

// cacheWatch keeps an index current. The copies it has are answered only while
// it is proven that nothing newer is known: whenever asked, it compares what it
// has applied with what the stream's leader has.
type cacheWatch struct {
	cache  *Cache
	asked  chan struct{} // has a token when somebody wants the index confirmed
	cancel context.CancelFunc
	done   sync.WaitGroup
}

func startCacheWatch(ctx context.Context, cache *Cache) *cacheWatch {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	w := &cacheWatch{cache: cache, asked: make(chan struct{}, 1), cancel: cancel}
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

// watch applies what happens to the bucket until that cannot go on.
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
	consumer, err := w.cache.bus.js.OrderedConsumer(ctx, cacheStream, jetstream.OrderedConsumerConfig{HeadersOnly: true})
	if err != nil {
		return fmt.Errorf("watch %s: %w", cacheStream, err)
	}
	// The consumer says what it cannot do; confirm finds out whether that matters.
	consuming, err := consumer.Consume(w.apply, jetstream.ConsumeErrHandler(func(jetstream.ConsumeContext, error) {}))
	if err != nil {
		return fmt.Errorf("watch %s: %w", cacheStream, err)
	}
	defer func() {
		consuming.Stop()
		<-consuming.Closed()
	}()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-w.asked:
		}
		if err := w.confirm(ctx, info.Created); err != nil {
			return err
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

// confirm waits until the index has everything that the leader has now. An error
// is a watch that has to begin anew; a leader that does not answer is none, as it
// only leaves the index unconfirmed.
func (w *cacheWatch) confirm(ctx context.Context, created time.Time) error {
	index := w.cache.index
	at := index.now()
	applied, _ := index.progress()
	info, err := w.info(ctx)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return err
	}
	if err != nil {
		return nil //nolint:nilerr // see above
	}
	last := info.State.LastSeq
	if !info.Created.Equal(created) || last < applied {
		return errCacheStream
	}
	if err := w.catchUp(ctx, last); err != nil {
		// What is missing may be gone from the stream.
		newest, err := w.newest(ctx)
		if err != nil {
			return nil //nolint:nilerr // see above
		}
		if err := w.catchUp(ctx, newest); err != nil {
			return err
		}
		index.skip(last)
	}
	index.confirm(at, info.State.FirstSeq)
	return nil
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

// catchUp waits until everything up to a sequence is applied.
func (w *cacheWatch) catchUp(ctx context.Context, sequence uint64) error {
	timeout := time.NewTimer(cachePatience)
	defer timeout.Stop()
	for {
		applied, moved := w.cache.index.progress()
		if applied >= sequence {
			return nil
		}
		select {
		case <-moved:
		case <-timeout.C:
			return fmt.Errorf("the watch of %s stands at %d, the stream at %d", cacheStream, applied, sequence)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// apply tells the index of one message.
func (w *cacheWatch) apply(msg jetstream.Msg) {
	metadata, err := msg.Metadata()
	if err != nil {
		return
	}
	u, ok := parseCacheUpdate(msg.Subject(), msg.Headers())
	if !ok {
		w.cache.index.skip(metadata.Sequence.Stream)
		return
	}
	u.revision = metadata.Sequence.Stream
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
