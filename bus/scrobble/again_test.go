package scrobble_test

import (
	"slices"
	"testing"

	"github.com/pluginhost/pluginhost/bus/scrobble"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
)

// remove removes a stream or the bucket of queues as an operator may.
func (x *rig) remove(stream string) {
	x.t.Helper()
	if err := x.js.DeleteStream(x.t.Context(), stream); err != nil {
		x.t.Fatal(err)
	}
}

// The sequences of the new intake begin anew, and pass those of the former before a reader notices.
func TestAnIntakeThatIsMadeAnewIsReadFromItsBeginning(t *testing.T) {
	t.Parallel()
	x, _, _ := working(t)
	for i := 1; i <= 20; i++ {
		x.submit(subjects.ScrobbleAll, aPlay("joe", i))
	}
	x.await("they were taken", func() bool { return len(x.taken) == 20 })
	x.awaitIntake(0)
	x.remove(subjects.IntakeStream)
	x.join("r2")
	ended := make(chan struct{})
	defer func() { <-ended }()
	go func() {
		defer close(ended)
		for i := 21; i <= 120; i++ {
			x.submit(subjects.ScrobbleAll, aPlay("joe", i))
		}
	}()
	x.await("all were taken", func() bool { return len(x.taken) == 120 })
	x.mu.Lock()
	defer x.mu.Unlock()
	if got := x.tracks("p", "joe"); !slices.Equal(got, names(1, 120)) {
		t.Errorf("the plugin took %q", got)
	}
}

// The sequences of the new stream begin anew, while a play of the former one is with the plugin.
func TestPlaysOfAStreamThatIsMadeAnewAreNotPassedOver(t *testing.T) {
	t.Parallel()
	stuck, called := make(chan struct{}), make(chan struct{})
	x, m, _ := working(t, func(x *rig) {
		x.answers = func(call taken) scrobble.Result {
			if call.track == "track 11" {
				close(called)
				<-stuck
			}
			return scrobble.Result{}
		}
	})
	for i := 1; i <= 11; i++ {
		x.submit(subjects.ScrobbleAll, aPlay("joe", i))
	}
	<-called
	x.remove(subjects.PlayStream)
	x.join("r2")
	x.submit(subjects.ScrobbleAll, aPlay("joe", 12), aPlay("joe", 13))
	x.await("they are in the queue", func() bool { return m.queues.Status("p").Waiting >= 3 })
	close(stuck)
	x.await("all were taken", func() bool { return slices.Equal(x.tracks("p", "joe"), names(1, 13)) })
	x.await("nothing waits", func() bool { return m.queues.Status("p").Waiting == 0 })
}

// The bucket of queues is lost, and the plays are not.
func TestPlaysWhoseQueuesAreLostAreDelivered(t *testing.T) {
	t.Parallel()
	x := newRig(t, testenv.NATS(t))
	m := x.join("r1")
	m.install("p")
	m.route()
	for i := 1; i <= 3; i++ {
		x.submit(subjects.ScrobbleAll, aPlay("joe", i), aPlay("ann", i))
	}
	x.await("they wait", func() bool { return m.queues.Status("p").Waiting == 6 })
	x.remove("KV_" + subjects.QueueBucket)
	x.await("there is another one", func() bool {
		_, err := x.js.KeyValue(t.Context(), subjects.QueueBucket)
		return err == nil
	})
	x.submit(subjects.ScrobbleAll, aPlay("joe", 4))
	m.work("p")
	x.await("all were taken", func() bool {
		return slices.Equal(x.tracks("p", "joe"), names(1, 4)) && slices.Equal(x.tracks("p", "ann"), names(1, 3))
	})
	x.await("nothing waits", func() bool { s := m.queues.Status("p"); return s.Waiting == 0 && s.Delivered == 7 })
}
