package testenv

import "go.uber.org/goleak"

// LatePublisher leaves out of a search for leaks one goroutine of nats.go: ObjectStore.Put begins it, and may have forgotten what it
// is to wait for (CleanupPublisher) before it runs, so that it waits for ever. It has to do with nothing. A connection that a test
// has left open, for which it runs as it should, is found by its other goroutines.
func LatePublisher() goleak.Option {
	return goleak.IgnoreTopFunction("github.com/nats-io/nats.go/jetstream.(*jetStream).resetPendingAcksOnReconnect")
}
