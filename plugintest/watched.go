package plugintest

import (
	"context"
	"sync"
)

// watched is a lock of what others wait for. The zero value is ready.
type watched struct {
	mu      sync.Mutex
	changed chan struct{} // closed at the next change; nil where nobody waits
}

// change changes what is locked.
func (w *watched) change(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
	if w.changed != nil {
		close(w.changed)
		w.changed = nil
	}
}

// look reads what is locked.
func (w *watched) look(look func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	look()
}

// await waits until enough says that it is, and reports false when ctx was over before.
// enough is called with the lock.
func (w *watched) await(ctx context.Context, enough func() bool) bool {
	for {
		w.mu.Lock()
		if enough() {
			w.mu.Unlock()
			return true
		}
		if w.changed == nil {
			w.changed = make(chan struct{})
		}
		changed := w.changed
		w.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}
