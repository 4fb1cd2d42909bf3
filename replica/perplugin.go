package replica

import (
	"context"
	"sync"
)

// perPlugin are those of a kind that run something for a plugin each, by the ids of the plugins.
type perPlugin[T interface{ Stop(ctx context.Context) }] struct {
	mu   sync.Mutex
	each map[string]T
}

// of returns that of a plugin.
func (p *perPlugin[T]) of(id string) (one T, is bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	one, is = p.each[id]
	return one, is
}

// add adds one that has begun.
func (p *perPlugin[T]) add(id string, one T) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.each == nil {
		p.each = make(map[string]T)
	}
	p.each[id] = one
}

// stop stops that of a plugin, if there is one, and waits for what it runs until ctx is over.
func (p *perPlugin[T]) stop(ctx context.Context, id string) {
	p.mu.Lock()
	one, is := p.each[id]
	delete(p.each, id)
	p.mu.Unlock()
	if is {
		one.Stop(ctx)
	}
}
