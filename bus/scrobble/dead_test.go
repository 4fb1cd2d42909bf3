package scrobble_test

import (
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/bus/scrobble"
	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
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

func TestADoubleIsNoDeadLetterHoweverManyPlaysWait(t *testing.T) {
	t.Parallel()
	x := newRig(t, testenv.NATS(t))
	x.limits.MaxUser = 2
	m := x.join("r1")
	m.install("p")
	m.route()
	x.submit(subjects.ScrobbleAll, aPlay("joe", 1), aPlay("joe", 2))
	x.await("they wait", func() bool { return m.queues.Status("p").Waiting == 2 })
	x.submit(subjects.ScrobbleAll, aPlay("joe", 1), aPlay("joe", 2), aPlay("joe", 3))
	x.await("one is too many", func() bool { return x.has(subjects.EventScrobbleDead) > 0 })
	x.awaitIntake(0)
	if dead := x.dead(); len(dead) != 1 || dead[0].Reason != subjects.DeadTooMany || x.has(subjects.EventScrobbleDead) != 1 {
		t.Errorf("the dead letters are %+v", dead)
	}
}

func TestADeadLetterForOnePluginIsTriedByThatOneAlone(t *testing.T) {
	t.Parallel()
	x := newRig(t, testenv.NATS(t))
	x.limits.MaxUser = 1
	m := x.join("r1")
	m.install("p")
	m.route()
	x.submit(subjects.Scrobble("q"), withoutName("joe", 1), withoutName("joe", 2))
	x.await("one is too many", func() bool { return x.has(subjects.EventScrobbleDead) == 1 })
	x.set(func() { x.users, x.limits.MaxUser = []scrobble.User{{Name: "joe", ID: "id-joe"}}, 100 })
	x.await("the other has a name", func() bool { return m.queues.Status("q").Waiting == 1 })
	c := client.New(testenv.Connect(t, x.url))
	if retried, left, err := c.RetryDead(t.Context(), "", ""); retried != 1 || left != 0 || err != nil {
		t.Errorf("%d were tried again, %d were left: %v", retried, left, err)
	}
	x.awaitIntake(0)
	x.await("both wait for the plugin", func() bool { return m.queues.Status("q").Waiting == 2 })
	if n := m.queues.Status("p").Waiting; n > 0 {
		t.Errorf("%d wait for another plugin", n)
	}
}
