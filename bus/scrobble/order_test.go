package scrobble_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/bus/scrobble"
	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
)

// withoutName is a play of which only the user's id is told.
func withoutName(user string, number int) *api.ScrobblerScrobbleRequest {
	play := aPlay(user, number)
	play.Username = ""
	return play
}

// The router looks for users who have become known now and then; plays come at any time.
func TestPlaysOfAUserWhoHasBecomeKnownDoNotOvertakeThoseThatWaited(t *testing.T) {
	t.Parallel()
	x, m, _ := working(t)
	const users = 5
	for u := range users {
		x.submit(subjects.ScrobbleAll, withoutName(fmt.Sprintf("user%d", u), 1), withoutName(fmt.Sprintf("user%d", u), 2))
	}
	x.await("they wait for names", func() bool { return m.queues.Status("").Waiting == 2*users })
	x.set(func() {
		for u := range users {
			x.users = append(x.users, scrobble.User{Name: fmt.Sprintf("user%d", u), ID: fmt.Sprintf("id-user%d", u)})
		}
	})
	for u := range users {
		x.submit(subjects.ScrobbleAll, aPlay(fmt.Sprintf("user%d", u), 3), withoutName(fmt.Sprintf("user%d", u), 4))
	}
	x.await("all were taken", func() bool { return len(x.taken) == 4*users })
	x.mu.Lock()
	defer x.mu.Unlock()
	for u := range users {
		if got := x.tracks("p", fmt.Sprintf("user%d", u)); !slices.Equal(got, names(1, 4)) {
			t.Errorf("the plugin took of user%d %q", u, got)
		}
	}
}

// A plugin appears just as another play comes.
func TestPlaysDoNotOvertakeThoseThatWaitedForAPlugin(t *testing.T) {
	t.Parallel()
	x := newRig(t, testenv.NATS(t))
	m := x.join("r1")
	m.route()
	for trial := range 8 {
		plugin, user := fmt.Sprintf("p%d", trial), fmt.Sprintf("user%d", trial)
		x.submit(subjects.ScrobbleAll, aPlay(user, 1))
		x.awaitIntake(1)
		x.awaitRead()
		x.mu.Lock() // the router waits for it, with the next play in its hands
		x.submit(subjects.Scrobble("q"), aPlay(user, 7))
		x.submit(subjects.ScrobbleAll, aPlay(user, 2))
		x.awaitRead()
		m.install(plugin)
		for len(m.queues.Installed()) == 0 && t.Context().Err() == nil {
			<-time.After(time.Millisecond)
		}
		x.mu.Unlock()
		x.awaitIntake(0)
		w := m.work(plugin)
		x.await("both were taken", func() bool { return len(x.tracks(plugin, user)) == 2 })
		x.mu.Lock()
		if got := x.tracks(plugin, user); !slices.Equal(got, names(1, 2)) {
			t.Errorf("the plugin took %q", got)
		}
		x.mu.Unlock()
		w.Stop(t.Context())
		if err := m.queues.SetInstalled(t.Context(), plugin, false); err != nil {
			t.Fatal(err)
		}
		x.await("there is no plugin", func() bool { return len(m.queues.Installed()) == 0 })
	}
}

// awaitRead waits until a reader of the intake has got all that is there.
func (x *rig) awaitRead() {
	x.t.Helper()
	stream, err := x.js.Stream(x.t.Context(), subjects.IntakeStream)
	if err != nil {
		x.t.Fatal(err)
	}
	deadline := time.After(x.patience)
	for {
		for info := range stream.ListConsumers(x.t.Context()).Info() {
			if info.NumPending == 0 && info.Delivered.Stream == stream.CachedInfo().State.LastSeq {
				return
			}
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-deadline:
			x.t.Fatal("nobody reads the intake")
		}
	}
}

func TestAPlayThatWaitsForAPluginIsKeptWhateverElseCannotGoAnywhere(t *testing.T) {
	t.Parallel()
	x := newRig(t, testenv.NATS(t))
	m := x.join("r1")
	m.route()
	x.submit(subjects.ScrobbleAll, withoutName("joe", 1))
	x.await("one waits for a name", func() bool { return m.queues.Status("").Waiting == 1 })
	x.submit(subjects.ScrobbleAll, aPlay("ann", 1))
	x.awaitIntake(1)
	x.set(func() { x.users, x.named = []scrobble.User{{Name: "joe", ID: "id-joe"}}, 0 })
	x.await("the router has tried to move what waits for a name", func() bool { return x.named > 1 })
	x.submit(subjects.Scrobble("q"), aPlay("ann", 2))
	x.await("it is in its queue", func() bool { return m.queues.Status("q").Waiting == 1 })
	x.awaitIntake(1)
	m.install("p")
	m.work("p")
	x.await("both were taken", func() bool { return len(x.tracks("p", "ann")) == 1 && len(x.tracks("p", "joe")) == 1 })
}
