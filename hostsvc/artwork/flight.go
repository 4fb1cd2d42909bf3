package artwork

import (
	"context"
	"errors"
	"sync"

	"github.com/pluginhost/pluginhost/hostsvc/navidrome"
)

var errAborted = errors.New("the fetch was broken off")

// flights has requests for the same image at the same time share one fetch. The
// fetch goes on while anybody waits for it, and is cancelled once nobody does: a
// caller that leaves does not fail the others.
type flights struct {
	mu      sync.Mutex
	flights map[string]*flight
}

type flight struct {
	ctx     context.Context
	cancel  context.CancelFunc
	waiting int           // under flights.mu
	done    chan struct{} // closed after image and err are set
	image   navidrome.Image
	err     error
}

// do returns what fetch returns, to the first of the callers that come with a key or
// to this one. The first runs fetch itself, to the end even when it is given up.
func (f *flights) do(ctx context.Context, key string, fetch func(context.Context) (navidrome.Image, error)) (navidrome.Image, error) {
	shared, first := f.join(ctx, key)
	leave := sync.OnceFunc(func() { f.leave(key, shared) })
	defer leave()
	defer context.AfterFunc(ctx, leave)()
	if first {
		f.run(key, shared, fetch)
		return shared.image, shared.err
	}
	select {
	case <-shared.done:
		return shared.image, shared.err
	case <-ctx.Done():
		return navidrome.Image{}, ctx.Err()
	}
}

func (f *flights) join(ctx context.Context, key string) (shared *flight, first bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	shared, ok := f.flights[key]
	if !ok {
		shared = &flight{done: make(chan struct{}), err: errAborted}
		shared.ctx, shared.cancel = context.WithCancel(context.WithoutCancel(ctx))
		if f.flights == nil {
			f.flights = map[string]*flight{}
		}
		f.flights[key] = shared
	}
	shared.waiting++
	return shared, !ok
}

func (f *flights) leave(key string, shared *flight) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if shared.waiting--; shared.waiting == 0 {
		shared.cancel()
		f.forget(key, shared) // who comes now must not get a cancelled fetch
	}
}

// run sets the outcome, also when fetch panics.
func (f *flights) run(key string, shared *flight, fetch func(context.Context) (navidrome.Image, error)) {
	defer func() {
		f.mu.Lock()
		f.forget(key, shared)
		f.mu.Unlock()
		close(shared.done)
	}()
	shared.image, shared.err = fetch(shared.ctx)
}

func (f *flights) forget(key string, shared *flight) {
	if f.flights[key] == shared {
		delete(f.flights, key)
	}
}
