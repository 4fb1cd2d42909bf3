package kvcache

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/sdk/jet"
	"github.com/pluginhost/pluginhost/subjects"
)

const (
	// cacheTimeout bounds one operation. It is shorter than a call usually may take,
	// and than some elections of a JetStream leader.
	cacheTimeout = 5 * time.Second
	// cacheMaxTTL is the longest life of a value.
	cacheMaxTTL = 100 * 365 * 24 * time.Hour
	// cacheCounting is how old the count of what others wrote may be while a
	// replica writes.
	cacheCounting = time.Second
)

// ErrLimit says that a value is not stored because a limit of its plugin, or
// of the NATS server, is reached.
var ErrLimit = errors.New("limit of the cache")

// Config configures a Cache.
type Config struct {
	// Copy is how many bytes of values are kept here to answer without asking
	// NATS; 0 is none.
	Copy int64
	// Staleness is for how long such a copy may be answered after another replica
	// has overwritten the value; above 0 where there are copies.
	Staleness time.Duration
}

// Limits bound the cache of one plugin.
type Limits struct {
	// MaxEntries is how many values there may be, and MaxBytes how many bytes they
	// may have together, with their keys. Replicas that write within the same second
	// can pass them by what they write, and so can calls at the same moment.
	MaxEntries int
	MaxBytes   int64
}

// Cache is the KV bucket of what plugins cache. It is safe for concurrent use.
type Cache struct {
	handle *jet.Handle
	config Config
	stream jetstream.Stream
	index  *cacheIndex
	watch  *cacheWatch
	// writing are the subjects that are being written.
	writing keyLocks[string]
}

// Open makes the bucket if it is missing and begins to watch it. The caller
// stops the Cache.
func Open(ctx context.Context, handle *jet.Handle, config Config) (*Cache, error) {
	if _, err := handle.EnsureBucket(ctx, jet.CacheBucket); err != nil {
		return nil, err
	}
	index := newCacheIndex(config.Copy)
	stream, err := handle.OpenStream(ctx, jet.CacheBucket.Stream())
	if err != nil {
		return nil, err
	}
	index.setClock(stream.CachedInfo().TimeStamp, 0)
	handle.LearnOffer(ctx)
	c := &Cache{handle: handle, config: config, stream: stream, index: index}
	c.watch = startCacheWatch(ctx, c)
	return c, nil
}

// Stop stops watching. Values can be written and read until then.
func (c *Cache) Stop() { c.watch.stop() }

// PluginCache is what one plugin caches. It has nothing to close and is safe for
// concurrent use.
type PluginCache struct {
	cache  *Cache
	id     string
	token  string
	prefix string // of the subjects of its values
	limits Limits
}

// Of returns the cache of one plugin.
func (c *Cache) Of(id string, limits Limits) *PluginCache {
	token := subjects.Token(id)
	return &PluginCache{cache: c, id: id, token: token, prefix: subjects.CacheSubject + strings.TrimSuffix(subjects.CacheKeys(id), "*"), limits: limits}
}

// Set stores a value for ttl, in whole seconds from 1 second to 100 years. A
// value over a limit is ErrCacheLimit. After another error it may be stored or
// not, and later as well, but not in the place of what was stored meanwhile.
func (p *PluginCache) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	hash := sha256.Sum256([]byte(key))
	record := cacheRecord(key, value)
	if err := p.admit(ctx, hash, int64(len(record))); err != nil {
		return err
	}
	former, err := p.cache.admitSum(ctx, p.token, hash, int64(len(record)))
	if err != nil {
		return err
	}
	ttl = min(max(ttl.Truncate(time.Second), time.Second), cacheMaxTTL)
	msg := nats.NewMsg(p.subject(hash))
	msg.Data = record
	index := p.cache.index
	asked := index.now()
	// The message stays longer than the value, for others to see what became of
	// the one before.
	ack, err := p.write(ctx, hash, msg, ttl+subjects.CacheMarkerTTL)
	if err != nil {
		return fmt.Errorf("cache: %w", err)
	}
	index.wrote(int64(len(record)) + jet.MessageOverhead - former)
	index.store(p.token, hash, ack.Sequence, record, index.now()+moment(ttl), asked)
	return nil
}

// admit refuses what would pass a limit.
func (p *PluginCache) admit(ctx context.Context, hash cacheKey, record int64) error {
	limits := p.limits
	if most := int64(p.cache.handle.MaxBody()); record > most {
		return fmt.Errorf("%w: value and key have %d bytes together, and %d fit the NATS server's max_payload", ErrLimit, record, most)
	}
	if p.cache.index.isStale() {
		p.cache.watch.ask()
	}
	p.cache.awaitCount(ctx)
	for swept := false; ; swept = true {
		entries, bytes := p.cache.index.usage(p.token, hash)
		switch {
		case entries < limits.MaxEntries && bytes+record <= limits.MaxBytes:
			return nil
		case !swept:
			if p.cache.index.isStale() {
				p.cache.awaitNewer(ctx) // what was there may be gone
			}
			p.cache.index.sweep(p.token)
		case entries >= limits.MaxEntries:
			return fmt.Errorf("%w: the plugin has %d values, [Cache] MaxEntries is %d", ErrLimit, entries, limits.MaxEntries)
		default:
			return fmt.Errorf("%w: the plugin's values have %d bytes, and this one %d more: [Cache] MaxBytes is %d", ErrLimit, bytes, record, limits.MaxBytes)
		}
	}
}

// admitSum refuses what would have the values of all plugins take more than their share of
// what JetStream offers, and returns what the value takes that is replaced. One that is no
// longer always fits.
func (c *Cache) admitSum(ctx context.Context, token string, hash cacheKey, record int64) (former int64, err error) {
	for again := false; ; again = true {
		stored, former := c.index.sum(token, hash)
		most, ok := c.handle.Share(jet.CacheShare)
		grows := record + jet.MessageOverhead - former
		switch {
		case !ok || grows <= 0 || stored+grows <= most:
			return former, nil
		case !again:
			c.handle.AskOfferAgain(ctx)
			if c.index.isStale() {
				c.awaitNewer(ctx) // what was there may have ended
			}
		default:
			return former, fmt.Errorf("%w: the values of all plugins take %d bytes of JetStream, and may take %d: remove some, or have the NATS server or its account store more",
				ErrLimit, stored, most)
		}
	}
}

// awaitNewer waits a little until it is known what the stream has now.
func (c *Cache) awaitNewer(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, cacheAttempt)
	defer cancel()
	for c.watch.ask(); c.index.isStale(); {
		if jet.Pause(ctx, cacheLag) != nil {
			return
		}
	}
}

// Get returns the value of a key and whether there is one. The value is not to
// be changed. A write of this replica is seen at once; that of another at once
// where there is no copy, and within the staleness where there is.
func (p *PluginCache) Get(ctx context.Context, key string) ([]byte, bool, error) {
	hash := sha256.Sum256([]byte(key))
	record, ask := p.cache.index.copyOf(p.token, hash, p.cache.config.Staleness)
	if ask {
		p.cache.watch.ask()
	}
	if record == nil {
		var err error
		if record, err = p.fetch(ctx, hash); err != nil {
			return nil, false, fmt.Errorf("cache: %w", err)
		}
	}
	if record == nil {
		return nil, false, nil
	}
	value, err := cacheValue(record, key)
	if err != nil {
		p.cache.handle.Logger().Warn("a value of the cache cannot be read", "plugin", p.id, "subject", p.subject(hash), "error", err)
		return nil, false, nil
	}
	return value, true, nil
}

// fetch asks the stream's leader; nil is no value.
func (p *PluginCache) fetch(ctx context.Context, hash cacheKey) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, cacheTimeout)
	defer cancel()
	index := p.cache.index
	msg, asked, err := p.newest(ctx, hash)
	if err != nil || msg == nil || msg.Header.Get(subjects.KVOperation) != "" {
		return nil, err
	}
	expires := index.expiry(msg.Time, cacheTTL(msg.Header))
	if expires <= index.now() {
		return nil, nil
	}
	index.store(p.token, hash, msg.Sequence, msg.Data, expires, asked)
	return msg.Data, nil
}

// newest asks the stream's leader for the newest message of a key, at a moment; nil is
// none.
func (p *PluginCache) newest(ctx context.Context, hash cacheKey) (msg *jetstream.RawStreamMsg, asked moment, err error) {
	err = p.cache.insist(ctx, func() (err error) {
		// Without a leader a question gets no answer at all, so it is asked again.
		ctx, cancel := context.WithTimeout(ctx, cacheAttempt)
		defer cancel()
		begun := time.Now()
		asked = p.cache.index.now()
		msg, err = p.cache.stream.GetLastMsgForSubject(ctx, p.subject(hash))
		p.cache.handle.Writes().NoteRead(jet.CacheBucket.Stream(), begun, err)
		return err
	}, context.DeadlineExceeded)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, asked, nil
	}
	return msg, asked, err
}

// Remove removes a value, which need not be there. After an error it may be removed or
// not, as after one of Set.
func (p *PluginCache) Remove(ctx context.Context, key string) error {
	hash := sha256.Sum256([]byte(key))
	if !p.cache.index.has(p.token, hash) {
		// Every removal leaves a marker for a while: none for what is not there.
		record, err := p.fetch(ctx, hash)
		if err != nil {
			return fmt.Errorf("cache: %w", err)
		}
		if record == nil {
			return nil
		}
	}
	_, former := p.cache.index.sum(p.token, hash)
	msg := nats.NewMsg(p.subject(hash))
	msg.Header.Set(subjects.KVOperation, subjects.KVPurge)
	ack, err := p.write(ctx, hash, msg, subjects.CacheMarkerTTL)
	if err != nil {
		return fmt.Errorf("cache: %w", err)
	}
	p.cache.index.wrote(jet.MessageOverhead - former)
	p.cache.index.remove(p.token, hash, ack.Sequence)
	return nil
}

func (p *PluginCache) subject(hash cacheKey) string { return p.prefix + hex.EncodeToString(hash[:]) }

// awaitCount waits a little, after a start or a new watch, until it is known how
// many values there are.
func (c *Cache) awaitCount(ctx context.Context) {
	known := c.index.whenConfirmed()
	select {
	case <-known:
		return
	default:
	}
	ctx, cancel := context.WithTimeout(ctx, cacheAttempt)
	defer cancel()
	select {
	case <-known:
	case <-ctx.Done():
	}
}

// write writes a message of a key in the place of its newest one, whichever that is: the
// server refuses a message that comes so late, on a link that stalled, that somebody has
// written the key meanwhile. Who has no answer has told the plugin that nobody knows, and
// whoever wrote after that was told that it is stored.
func (p *PluginCache) write(ctx context.Context, hash cacheKey, msg *nats.Msg, ttl time.Duration) (*jetstream.PubAck, error) {
	ctx, cancel := context.WithTimeout(ctx, cacheTimeout)
	defer cancel()
	jet.RollUp(msg)
	// Calls of this replica wait for each other, so that it is others alone who are in the way.
	unlock, err := p.cache.writing.lock(ctx, msg.Subject)
	if err != nil {
		return nil, fmt.Errorf("other calls write the key: %w", err)
	}
	defer unlock()
	revision := p.cache.index.revision(p.token, hash)
	for again := false; ; again = true {
		ack, err := p.cache.publish(ctx, msg, ttl, revision)
		if !errors.Is(err, jet.ErrMoved) {
			return ack, err
		}
		// Another replica has written it, or is about to.
		if again {
			if err := jet.Pause(ctx, cacheLag); err != nil {
				return nil, fmt.Errorf("others write the key all the time: %w", err)
			}
		}
		newest, _, err := p.newest(ctx, hash)
		if err != nil {
			return nil, err
		}
		if revision = 0; newest != nil {
			revision = newest.Sequence
		}
	}
}

// publish writes to the bucket in the place of what is at a revision, 0 where there is
// nothing; errMoved is that there is something else.
func (c *Cache) publish(ctx context.Context, msg *nats.Msg, ttl time.Duration, revision uint64) (ack *jetstream.PubAck, err error) {
	err = c.insist(ctx, func() (err error) {
		begun := time.Now()
		ack, err = c.handle.JetStream().PublishMsg(ctx, msg, jetstream.WithMsgTTL(ttl), jetstream.WithExpectLastSequencePerSubject(revision), jetstream.WithRetryAttempts(0))
		c.handle.Writes().Note(jet.CacheBucket.Stream(), begun, err)
		return jet.MovedOr(err)
	})
	var refused *jetstream.APIError
	if errors.As(err, &refused) && refused.ErrorCode == codeSequenceNotReady {
		return nil, jet.ErrMoved
	}
	return ack, err
}

// codeSequenceNotReady is the server's code for a condition on a key that it cannot
// decide yet.
const codeSequenceNotReady jetstream.ErrorCode = 10163

// insist is Bus.insist; a bucket that is gone is made anew meanwhile.
func (c *Cache) insist(ctx context.Context, operation func() error, again ...error) error {
	return c.handle.Insist(ctx, c.watch.ask, operation, again...)
}

// cacheTTL is how long a value lives, by the headers of its message: a minute less
// than that. Of a message without a time, which never ends, it is the longest.
func cacheTTL(header nats.Header) time.Duration {
	text := ""
	if values := header[jetstream.MsgTTLHeader]; len(values) > 0 {
		text = values[0]
	}
	ttl, err := time.ParseDuration(text)
	if err != nil || ttl > cacheMaxTTL+subjects.CacheMarkerTTL {
		return cacheMaxTTL
	}
	return ttl - subjects.CacheMarkerTTL
}
