package bus

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/internal/kvwatch"
)

// errWatchEnded says that a watch tells nothing any more.
var errWatchEnded = errors.New("the watch has ended")

// change is what became of a key.
type change struct {
	key      string
	revision uint64 // 0 where gone was found out later, or the bucket made anew
	value    []byte
	gone     bool
	anew     bool // the bucket is another one, of no key: what was in it was told as gone
}

// follower tells of every key of a bucket and every change of one, in the order
// of the bucket. A watch that ends, or falls silent while the bucket moves on,
// is begun anew, and a bucket that is gone is made anew: what disappeared
// meanwhile is told as gone.
type follower struct {
	bus    *Bus
	want   bucket
	note   func(change)
	cancel context.CancelFunc
	done   sync.WaitGroup
	known  chan struct{} // closed once all that was there has been told

	// Of the goroutine that runs:
	keys  map[string]uint64 // known keys with their revisions
	first sync.Once

	created atomic.Pointer[time.Time] // when the bucket was made
}

// follow begins to follow a bucket, which is made if it is missing, and waits
// until all that is there was told. note is called by one goroutine. The caller
// stops the follower.
func (b *Bus) follow(ctx context.Context, want bucket, note func(change)) (*follower, error) {
	if _, err := b.ensureBucket(ctx, want); err != nil {
		return nil, err
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	f := &follower{bus: b, want: want, note: note, cancel: cancel, known: make(chan struct{}), keys: make(map[string]uint64)}
	f.created.Store(new(time.Time))
	f.done.Go(func() { f.run(running) })
	ctx, stop := context.WithTimeout(ctx, b.config.Patience)
	defer stop()
	select {
	case <-f.known:
		return f, nil
	case <-ctx.Done():
		f.stop()
		return nil, fmt.Errorf("read %s: %w", want, ctx.Err())
	}
}

// stop ends the follower and waits for it.
func (f *follower) stop() {
	f.cancel()
	f.done.Wait()
}

func (f *follower) run(ctx context.Context) {
	for {
		err := f.watch(ctx)
		if ctx.Err() != nil {
			return
		}
		f.bus.config.Logger.Warn("records are read anew", "bucket", string(f.want), "reason", err)
		if pause(ctx, insistPause) != nil {
			return
		}
	}
}

// watch tells of changes until the watch has ended.
func (f *follower) watch(ctx context.Context) error {
	progress := progress{checked: time.Now()}
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
	defer func() { _ = kvwatch.End(watcher) }()
	check := time.NewTicker(Lease / 3)
	defer check.Stop()
	missing := maps.Clone(f.keys) // until they are told again
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-check.C:
			if err := f.check(ctx, &progress); err != nil {
				return err
			}
		case entry, open := <-watcher.Updates():
			switch {
			case !open:
				return errWatchEnded
			case entry != nil:
				delete(missing, entry.Key())
				progress.seen = entry.Revision()
				f.see(entry)
			case missing != nil:
				for _, key := range slices.Sorted(maps.Keys(missing)) {
					f.tell(change{key: key, gone: true})
				}
				missing = nil
				// The newest message may be one that has gone with its time.
				progress.seen = max(progress.seen, last)
				if watcher, err = resume(watching, kv, watcher, progress.seen); err != nil {
					return err
				}
				f.first.Do(func() { close(f.known) })
			}
		}
	}
}

// resume watches on from a revision, in the place of a watch that has told all there
// was. That one had the last message of each key, and the server would count those anew
// whenever a write rolls up: it costs the more the more keys there are.
func resume(ctx context.Context, kv jetstream.KeyValue, former jetstream.KeyWatcher, revision uint64) (jetstream.KeyWatcher, error) {
	if err := kvwatch.End(former); err != nil {
		return former, err
	}
	watcher, err := kv.WatchAll(ctx, jetstream.ResumeFromRevision(revision+1))
	if err != nil {
		return former, err
	}
	return watcher, nil
}

// reopen makes the bucket if it is missing, and forgets what was in a former one. last
// is the newest revision there was.
func (f *follower) reopen(ctx context.Context) (kv jetstream.KeyValue, last uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if kv, err = f.bus.ensureBucket(ctx, f.want); err != nil {
		return nil, 0, err
	}
	info, err := f.info(ctx)
	if err != nil {
		return nil, 0, err
	}
	if !f.made().Equal(info.Created) {
		for _, key := range slices.Sorted(maps.Keys(f.keys)) {
			f.tell(change{key: key, gone: true})
		}
		f.note(change{anew: true})
		f.created.Store(&info.Created)
	}
	return kv, info.State.LastSeq, nil
}

// made is when the bucket was made that is followed.
func (f *follower) made() time.Time { return *f.created.Load() }

func (f *follower) info(ctx context.Context) (*jetstream.StreamInfo, error) {
	stream, err := f.bus.js.Stream(ctx, f.want.stream())
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
}

// check ends a watch that stays behind the bucket, or of a bucket that is gone.
func (f *follower) check(ctx context.Context, p *progress) error {
	ctx, cancel := context.WithTimeout(ctx, Lease/3)
	defer cancel()
	info, err := f.info(ctx)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return err
	case err != nil:
		return nil // nobody answers: the watch will tell, or the next check
	case wallPassed(p.checked, time.Now()) > removedTTL/2:
		return errors.New("removals may have been told and forgotten meanwhile")
	case !f.made().Equal(info.Created):
		return errors.New("the bucket is another one")
	case uint64(len(f.keys)) > 2*info.State.Msgs+staleKeys:
		return errors.New("keys have gone with their time")
	case p.last > p.seen && p.seen == p.at:
		return fmt.Errorf("the watch stays at revision %d, the bucket is at %d", p.seen, p.last)
	}
	p.last, p.at, p.checked = info.State.LastSeq, p.seen, time.Now()
	return nil
}

func (f *follower) see(entry jetstream.KeyValueEntry) {
	if f.keys[entry.Key()] >= entry.Revision() {
		return // told by a former watch
	}
	f.tell(change{key: entry.Key(), revision: entry.Revision(), value: entry.Value(), gone: entry.Operation() != jetstream.KeyValuePut})
}

func (f *follower) tell(c change) {
	if c.gone {
		delete(f.keys, c.key)
	} else {
		f.keys[c.key] = c.revision
	}
	f.note(c)
}
