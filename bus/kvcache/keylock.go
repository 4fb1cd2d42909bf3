package kvcache

import (
	"context"
	"sync"
)

// keyLocks lets one at a time work on a key, in the order in which they came.
type keyLocks[K comparable] struct {
	mu    sync.Mutex
	locks map[K]*keyLock
}

// keyLock is the lock of one key, while somebody works on it or waits.
type keyLock struct {
	place chan struct{} // has a token while somebody works
	users int
}

// lock waits until nobody works on a key, or for ctx. The caller unlocks it.
func (l *keyLocks[K]) lock(ctx context.Context, key K) (unlock func(), err error) {
	l.mu.Lock()
	if l.locks == nil {
		l.locks = make(map[K]*keyLock)
	}
	lock := l.locks[key]
	if lock == nil {
		lock = &keyLock{place: make(chan struct{}, 1)}
		l.locks[key] = lock
	}
	lock.users++
	l.mu.Unlock()
	leave := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if lock.users--; lock.users == 0 {
			delete(l.locks, key)
		}
	}
	select {
	case lock.place <- struct{}{}:
		return func() {
			<-lock.place
			leave()
		}, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}
