package tokenstore

import (
	"context"
	"errors"
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

	asking chan struct{} // a place is taken while the leader is asked about a token

	mu    sync.Mutex
	known map[string]token // by key
}

// ErrBusy says that the leader is being asked about as many tokens as may be at once.
var ErrBusy = errors.New("too many tokens that are not known here are looked up at once")

// maxAsking is that number: anybody can make up tokens, each of which would keep a place of whoever looks it up.
const maxAsking = 32

// Follow makes the store if it is missing, which takes the rights of a replica, and returns once all tokens are known. The
// caller stops the Followed.
func Follow(ctx context.Context, handle *jet.Handle) (*Followed, error) {
	store, err := Ensure(ctx, handle)
	if err != nil {
		return nil, err
	}
	f := &Followed{Store: store, handle: handle, known: make(map[string]token), asking: make(chan struct{}, maxAsking)}
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
// leader is asked about all: about 32 at once, ErrBusy is what the others get.
func (f *Followed) Find(ctx context.Context, secret string) (subjects.AccessTokenRecord, error) {
	if !subjects.IsAccessToken(secret) {
		return subjects.AccessTokenRecord{}, ErrUnknown
	}
	f.mu.Lock()
	found, is := f.known[subjects.AccessTokenKey(secret)]
	f.mu.Unlock()
	now := time.Now().UTC()
	if !is || found.Expired(now) || !f.handle.Connected() {
		return f.ask(ctx, secret)
	}
	if now.Sub(found.LastUsed).Abs() >= useInterval {
		f.noteUse(found, now)
	}
	return found.AccessTokenRecord, nil
}

// ask asks the leader, unless it is being asked about too many.
func (f *Followed) ask(ctx context.Context, secret string) (subjects.AccessTokenRecord, error) {
	select {
	case f.asking <- struct{}{}:
	default:
		return subjects.AccessTokenRecord{}, ErrBusy
	}
	defer func() { <-f.asking }()
	return f.Store.Find(ctx, secret)
}
