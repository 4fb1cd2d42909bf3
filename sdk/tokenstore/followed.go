package tokenstore

import (
	"context"
	"sync"
	"time"

	"github.com/pluginhost/pluginhost/sdk/jet"
	"github.com/pluginhost/pluginhost/subjects"
)

// Followed is a Store that follows its bucket: a token that it knows costs no question. It is safe for concurrent use.
type Followed struct {
	*Store
	handle   *jet.Handle
	follower *jet.Follower

	mu    sync.Mutex
	known map[string]token // by key
}

// Follow makes the store if it is missing, which takes the rights of a replica, and returns once all tokens are known. The
// caller stops the Followed.
func Follow(ctx context.Context, handle *jet.Handle) (*Followed, error) {
	store, err := Ensure(ctx, handle)
	if err != nil {
		return nil, err
	}
	f := &Followed{Store: store, handle: handle, known: make(map[string]token)}
	if f.follower, err = handle.Follow(ctx, jet.AccessTokenBucket, f.note); err != nil {
		return nil, err
	}
	return f, nil
}

// Stop stops following.
func (f *Followed) Stop() { f.follower.Stop() }

// note takes over what became of a token.
func (f *Followed) note(c jet.Change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c.Anew {
		clear(f.known)
		return
	}
	record, err := subjects.ParseAccessTokenRecord(c.Key, c.Value)
	if c.Gone || err != nil { // the leader is asked about one that cannot be read
		delete(f.known, c.Key)
		return
	}
	f.known[c.Key] = token{AccessTokenRecord: record, key: c.Key, revision: c.Revision}
}

// Find is [Store.Find], which asks the leader only about a token that is not known here. One that was revoked is unknown as soon
// as that is told here: in a moment and, while the watch of the bucket stalls, within a lease. Without a connection the
// leader is asked about all.
func (f *Followed) Find(ctx context.Context, secret string) (subjects.AccessTokenRecord, error) {
	if !subjects.IsAccessToken(secret) {
		return subjects.AccessTokenRecord{}, ErrUnknown
	}
	f.mu.Lock()
	found, is := f.known[subjects.AccessTokenKey(secret)]
	f.mu.Unlock()
	now := time.Now().UTC()
	if !is || found.Expired(now) || !f.handle.Connected() {
		return f.Store.Find(ctx, secret)
	}
	if now.Sub(found.LastUsed).Abs() >= useInterval {
		f.noteUse(found, now)
	}
	return found.AccessTokenRecord, nil
}
