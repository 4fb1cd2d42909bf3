package jet

import (
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// watchPatience is how long a watch is given to end.
const watchPatience = 5 * time.Second

// EndWatch stops a watch and waits for its goroutine, which may be waiting for somebody to take
// what it has, and would for ever.
func EndWatch(watcher jetstream.KeyWatcher) error {
	err := watcher.Stop()
	timeout := time.NewTimer(watchPatience)
	defer timeout.Stop()
	for {
		select {
		case _, open := <-watcher.Updates():
			if !open {
				return err
			}
		case <-timeout.C:
			return err
		}
	}
}
