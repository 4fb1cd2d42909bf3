package replica

import (
	"context"
	"sync"
)

// background is what the replica does that no caller waits for.
type background struct {
	cutOff context.Context // over when what still runs is to be given up
	cancel context.CancelFunc

	mu      sync.Mutex
	ended   bool
	running sync.WaitGroup
}

func newBackground() *background {
	b := &background{}
	b.cutOff, b.cancel = context.WithCancel(context.Background())
	return b
}

// start runs a task and does not wait for it. After end it does nothing and
// returns false.
func (b *background) start(task func(cutOff context.Context)) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		return false
	}
	b.running.Go(func() { task(b.cutOff) })
	return true
}

// end takes no more tasks and waits for those that run. What is left when ctx is
// over is told to give up.
func (b *background) end(ctx context.Context) {
	b.mu.Lock()
	b.ended = true
	b.mu.Unlock()
	defer context.AfterFunc(ctx, b.cancel)()
	b.running.Wait()
	b.cancel()
}
