package workqueue

import (
	"context"
	"sync"
)

// slots bound how much is done at once.
type slots struct {
	mu         sync.Mutex
	size, used int
	freed      chan struct{} // has a token after one may have become free
}

func newSlots(size int) *slots { return &slots{size: size, freed: make(chan struct{}, 1)} }

// take takes all free slots, and waits for one.
func (s *slots) take(ctx context.Context) (n int, err error) {
	for {
		s.mu.Lock()
		if n = s.size - s.used; n > 0 {
			s.used = s.size
		}
		s.mu.Unlock()
		if n > 0 {
			return n, nil
		}
		select {
		case <-s.freed:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// give gives slots back.
func (s *slots) give(n int) {
	s.mu.Lock()
	s.used -= n
	s.mu.Unlock()
	s.signal()
}

// resize changes how many there are.
func (s *slots) resize(size int) {
	s.mu.Lock()
	s.size = size
	s.mu.Unlock()
	s.signal()
}

func (s *slots) signal() {
	select {
	case s.freed <- struct{}{}:
	default:
	}
}
