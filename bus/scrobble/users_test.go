package scrobble_test

import (
	"testing"

	"github.com/pluginhost/pluginhost/bus/scrobble"
	"github.com/pluginhost/pluginhost/testenv"
)

func TestAFormerNameOfAUserIsForgotten(t *testing.T) {
	t.Parallel()
	x := newRig(t, testenv.NATS(t))
	m := x.join("r1")
	for _, name := range []string{"Joe", "Jim"} {
		m.queues.Learn(scrobble.User{Name: name, ID: "1"})
		x.await("it is learned", func() bool {
			x.mu.Unlock() // Complete asks for the users of the rig
			defer x.mu.Lock()
			return m.queues.Complete(scrobble.User{ID: "1"}).Name == name
		})
	}
	if user := m.queues.Complete(scrobble.User{Name: "jim"}); user.ID != "1" {
		t.Errorf("the id of the new name is %q", user.ID)
	}
	if user := m.queues.Complete(scrobble.User{Name: "joe"}); user.ID != "" {
		t.Errorf("the id of the former name is %q", user.ID)
	}
}
