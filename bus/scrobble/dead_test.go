package scrobble_test

import (
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/subjects"
)

// Whoever has a dead letter tried again publishes it and then removes the letter.
func TestAPlayThatDiesAgainBeforeItsLetterIsRemovedHasAnotherOne(t *testing.T) {
	t.Parallel()
	refused := failure(subjects.ErrBadRequest)
	x, m, _ := working(t, answering(refused, refused))
	x.submit(subjects.ScrobbleAll, aPlay("joe", 1))
	x.await("it is a dead letter", func() bool { return m.queues.Status("p").Dead == 1 })
	again := nats.NewMsg(subjects.Scrobble("p"))
	again.Header.Set(subjects.HeaderRetryDead, "1")
	again.Data = x.dead()[0].Request
	x.publishMsg(again)
	x.await("it is one again", func() bool { return m.queues.Status("p").Dead == 2 })
	stream, err := x.js.Stream(t.Context(), subjects.DeadStream)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.DeleteMsg(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if n := x.messages(subjects.DeadStream); n != 1 {
		t.Fatalf("there are %d dead letters, want the newer one", n)
	}
	x.publishMsg(again)
	x.await("it was taken", func() bool { return m.queues.Status("p").Delivered == 1 })
}
