package jet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

var (
	// errWatchEnded says that a watch tells nothing any more.
	errWatchEnded = errors.New("the watch has ended")
	// errOlder says that the bucket has lost what was written last, as in a power cut.
	errOlder = errors.New("the bucket came back older than it was")
	// errDoubt says that the bucket may have lost something.
	errDoubt = errors.New("the servers may have lost what was written last")
)

// Change is what became of a key.
type Change struct {
	// Key is the key, as it is in the bucket.
	Key string
	// Revision is that of the change; 0 if it was found out later that the key is gone.
	Revision uint64
	// Value is what the key has now; it says nothing if Gone.
	Value []byte
	// Gone says that the key has no value any more.
	Gone bool
	// There is a value that was there when the watch began: whenever it was written.
	There bool
	// Anew is of no key: the bucket is another one, or came back older. Revisions begin
	// anew, and can be lower; what is there is told again, and what is not, as gone.
	Anew bool
}

// Follower tells of every key of a bucket and every change of one, in the order
// of the bucket. A watch that ends, or falls silent while the bucket moves on,
// is begun anew, and a bucket that is gone is made anew: what disappeared
// meanwhile is told as gone. So is a bucket read anew that came back older.
type Follower struct {
	handle *Handle
	want   Bucket
	note   func(Change)
	cancel context.CancelFunc
	done   sync.WaitGroup
	known  chan struct{} // closed once all that was there has been told

	// Of the goroutine that runs:
	keys  map[string]knownKey
	older bool // the bucket came back older
	first sync.Once

	doubts chan struct{} // has a token when somebody has read less than was known

	created atomic.Pointer[time.Time] // when the bucket was made
}

// knownKey is the newest that was told of a key. Two values of one revision are of buckets
// of which one was lost.
type knownKey struct {
	revision uint64
	written  time.Time // by the server's clock
}

// Follow begins to follow a bucket, which is made if it is missing, and waits
// until all that is there was told. note is called by one goroutine. The caller
// stops the follower.
func (h *Handle) Follow(ctx context.Context, want Bucket, note func(Change)) (*Follower, error) {
	if _, err := h.EnsureBucket(ctx, want); err != nil {
		return nil, err
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	f := &Follower{handle: h, want: want, note: note, cancel: cancel, known: make(chan struct{}), keys: make(map[string]knownKey), doubts: make(chan struct{}, 1)}
	f.created.Store(new(time.Time))
	f.done.Go(func() { f.run(running) })
	ctx, stop := context.WithTimeout(ctx, h.config.Patience)
	defer stop()
	select {
	case <-f.known:
		return f, nil
	case <-ctx.Done():
		f.Stop()
		return nil, fmt.Errorf("read %s: %w", want, ctx.Err())
	}
}

// Stop ends the follower and waits for it.
func (f *Follower) Stop() {
	f.cancel()
	f.done.Wait()
}

func (f *Follower) run(ctx context.Context) {
	for {
		err := f.watch(ctx)
		if ctx.Err() != nil {
			return
		}
		level := slog.LevelInfo // it ends now and then, as when a server restarts
		switch {
		case errors.Is(err, errOlder):
			level = slog.LevelWarn
		case errors.Is(err, errDoubt):
			level = slog.LevelDebug
		}
		f.handle.config.Logger.Log(ctx, level, "records are read anew", "bucket", string(f.want), "reason", err)
		if Pause(ctx, RetryPause) != nil {
			return
		}
	}
}

// doubt has the bucket compared with what was told, for somebody who has read less than
// what was.
func (f *Follower) doubt() {
	select {
	case f.doubts <- struct{}{}:
	default:
	}
}

// watch tells of changes until the watch has ended.
func (f *Follower) watch(ctx context.Context) error {
	progress := progress{checked: time.Now(), reconnects: f.handle.config.Conn.Stats().Reconnects}
	kv, last, err := f.reopen(ctx)
	if err != nil {
		return err
	}
	watching, end := context.WithCancel(ctx)
	defer end() // for what nats.go has wait for it
	watcher, err := kv.WatchAll(watching)
	if err != nil {
		return err
	}
	defer func() { _ = EndWatch(watcher) }()
	check := time.NewTicker(f.handle.config.Lease / 3)
	defer check.Stop()
	begins := &reading{missing: maps.Clone(f.keys)} // until all that is there was told
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-check.C:
			if err := f.check(ctx, &progress); err != nil {
				return err
			}
		case <-f.doubts:
			return errDoubt
		case entry, open := <-watcher.Updates():
			switch {
			case !open:
				return errWatchEnded
			case entry != nil:
				progress.seen = entry.Revision()
				f.see(entry, begins)
			case begins != nil:
				if err := f.readAll(ctx, begins); err != nil {
					return err
				}
				begins = nil
				// A server that lags behind the leader has not told the newest yet.
				if watcher, err = resume(watching, kv, watcher, progress.seen); err != nil {
					return err
				}
				// The newest message may be one that has gone with its time.
				progress.seen = max(progress.seen, last)
				f.first.Do(func() { close(f.known) })
			}
		}
	}
}

// resume watches on from a revision, in the place of a watch that has told all there
// was. That one had the last message of each key, and the server would count those anew
// whenever a write rolls up: it costs the more the more keys there are.
func resume(ctx context.Context, kv jetstream.KeyValue, former jetstream.KeyWatcher, revision uint64) (jetstream.KeyWatcher, error) {
	if err := EndWatch(former); err != nil {
		return former, err
	}
	watcher, err := kv.WatchAll(ctx, jetstream.ResumeFromRevision(revision+1))
	if err != nil {
		return former, err
	}
	return watcher, nil
}

// reopenTimeout bounds how long it takes to make the bucket or to look at it.
const reopenTimeout = 5 * time.Second

// reopen makes the bucket if it is missing, and forgets what was in a former one. last
// is the newest revision there was.
func (f *Follower) reopen(ctx context.Context) (kv jetstream.KeyValue, last uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, reopenTimeout)
	defer cancel()
	if kv, err = f.handle.EnsureBucket(ctx, f.want); err != nil {
		return nil, 0, err
	}
	info, err := f.info(ctx)
	if err != nil {
		return nil, 0, err
	}
	if f.older || !f.made().Equal(info.Created) {
		for key := range f.keys {
			f.keys[key] = knownKey{}
		}
		f.note(Change{Anew: true})
		f.created.Store(&info.Created)
		f.older = false
	}
	return kv, info.State.LastSeq, nil
}

// reading is a watch until it has told all that was there.
type reading struct {
	missing map[string]knownKey // not told yet
	lower   string              // a key that was told at a lower revision than before
}

// readAll ends the reading: what was not told is gone, unless the bucket came back older.
func (f *Follower) readAll(ctx context.Context, begins *reading) error {
	if err := f.confirm(ctx, begins.lower); err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(begins.missing)) {
		f.tell(Change{Key: key, Gone: true})
	}
	return nil
}

// isLower says whether an entry is not what was told of its key, and none that came later.
func (f *Follower) isLower(entry jetstream.KeyValueEntry) bool {
	known := f.keys[entry.Key()]
	return entry.Revision() < known.revision || entry.Revision() == known.revision && !entry.Created().Equal(known.written)
}

// confirm asks the leader of the bucket about a key that was told at a lower revision than
// before; empty is none. The server that told it may lag behind, and a leader may just have
// become one: errOlder is what it says twice.
func (f *Follower) confirm(ctx context.Context, key string) error {
	known := f.keys[key]
	for range 2 {
		if key == "" {
			return nil
		}
		if err := Pause(ctx, f.handle.config.Lease/6); err != nil {
			return err
		}
		attempt, cancel := context.WithTimeout(ctx, f.handle.config.Lease/3)
		stream, err := f.handle.js.Stream(attempt, f.want.Stream())
		var last *jetstream.RawStreamMsg
		if err == nil {
			last, err = stream.GetLastMsgForSubject(attempt, f.want.subject(key))
		}
		cancel()
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound):
			return nil // the watch tells
		case err != nil:
			return err
		case last.Sequence > known.revision || last.Sequence == known.revision && last.Time.Equal(known.written):
			return nil
		}
	}
	f.older = true
	return fmt.Errorf("%w: %s was at revision %d", errOlder, key, known.revision)
}

// made is when the bucket was made that is followed.
func (f *Follower) made() time.Time { return *f.created.Load() }

func (f *Follower) info(ctx context.Context) (*jetstream.StreamInfo, error) {
	stream, err := f.handle.js.Stream(ctx, f.want.Stream())
	if err != nil {
		return nil, err
	}
	return stream.CachedInfo(), nil
}

// staleKeys is how many known keys more than half may be gone: nothing tells of
// a key whose time is over.
const staleKeys = 100

// progress is how far a watch has come.
type progress struct {
	seen uint64 // the newest revision that was told
	// last is the newest of the bucket when it was looked at, at which point the
	// watch was at.
	last, at uint64
	checked  time.Time // when the bucket was last looked at
	// behind says that the bucket ended before what was told, and reconnects how often the
	// connection was back when the watch began.
	behind     bool
	reconnects uint64
}

// check ends a watch that stays behind the bucket, or of a bucket that is gone.
func (f *Follower) check(ctx context.Context, p *progress) error {
	ctx, cancel := context.WithTimeout(ctx, f.handle.config.Lease/3)
	defer cancel()
	info, err := f.info(ctx)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return err
	case err != nil:
		return nil // nobody answers: the watch will tell, or the next check
	case WallPassed(p.checked, time.Now()) > f.handle.config.RemovedTTL/2:
		return errors.New("removals may have been told and forgotten meanwhile")
	case !f.made().Equal(info.Created):
		return errors.New("the bucket is another one")
	case uint64(len(f.keys)) > 2*info.State.Msgs+staleKeys:
		return errors.New("keys have gone with their time")
	case p.last > p.seen && p.seen == p.at:
		return fmt.Errorf("the watch stays at revision %d, the bucket is at %d", p.seen, p.last)
	case info.State.LastSeq < p.seen && p.behind:
		f.older = true
		return fmt.Errorf("%w: it ends at revision %d, and was at %d", errOlder, info.State.LastSeq, p.seen)
	case f.handle.config.Conn.Stats().Reconnects != p.reconnects:
		return errDoubt // once the servers answer again
	}
	// A server that tells can be ahead of the leader by a moment.
	p.behind = info.State.LastSeq < p.seen
	p.last, p.at, p.checked = info.State.LastSeq, p.seen, time.Now()
	return nil
}

// see tells of an entry; begins is nil unless it was there when the watch began.
func (f *Follower) see(entry jetstream.KeyValueEntry, begins *reading) {
	if begins != nil {
		delete(begins.missing, entry.Key())
		if f.isLower(entry) {
			begins.lower = entry.Key()
		}
	}
	if known, is := f.keys[entry.Key()]; is && known.revision >= entry.Revision() {
		return // told by a former watch
	}
	f.tell(Change{Key: entry.Key(), Revision: entry.Revision(), Value: entry.Value(), Gone: entry.Operation() != jetstream.KeyValuePut, There: begins != nil})
	if _, is := f.keys[entry.Key()]; is {
		f.keys[entry.Key()] = knownKey{entry.Revision(), entry.Created()}
	}
}

func (f *Follower) tell(c Change) {
	if c.Gone {
		delete(f.keys, c.Key)
	} else {
		f.keys[c.Key] = knownKey{revision: c.Revision}
	}
	f.note(c)
}
