// Package kvwatch ends watches of KV buckets.
package kvwatch

import (
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// patience is how long a watch is given to end.
const patience = 5 * time.Second

// End stops a watch and waits for its goroutine, which may be waiting for somebody to take
// what it has, and would for ever.
func End(watcher jetstream.KeyWatcher) error {
	err := watcher.Stop()
	timeout := time.NewTimer(patience)
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
