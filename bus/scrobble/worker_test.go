package scrobble_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/bus/scrobble"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
)

// working is a rig with one replica that routes and delivers the plays of plugin p.
func working(t *testing.T, prepare ...func(*rig)) (*rig, *member, *scrobble.Worker) {
	t.Helper()
	x := newRig(t, testenv.NATS(t))
	for _, change := range prepare {
		change(x)
	}
	m := x.join("r1")
	m.install("p")
	m.route()
	return x, m, m.work("p")
}

// answering has the plugin answer in turn, and take everything after that.
func answering(answers ...scrobble.Result) func(*rig) {
	var calls atomic.Int64
	return func(x *rig) {
		x.answers = func(taken) scrobble.Result {
			if n := int(calls.Add(1)); n <= len(answers) {
				return answers[n-1]
			}
			return scrobble.Result{}
		}
	}
}

func text(s string) scrobble.Result { return scrobble.Result{Text: s} }

func failure(sentinel error) scrobble.Result {
	return scrobble.Result{Err: subjects.Errorf(sentinel, "as the test says")}
}

func TestWhatFailsForNowIsTriedAgainInItsOrder(t *testing.T) {
	t.Parallel()
	const unknown = "an error nobody knows"
	for name, fails := range map[string]scrobble.Result{
		"overloaded":             failure(subjects.ErrOverloaded),
		"unavailable":            failure(subjects.ErrUnavailable),
		"retry later":            text("retry later"),
		"an unanswered request":  {Text: "no luck", Upstream: true},
		"the same, as an error":  {Err: subjects.Errorf(subjects.ErrPlugin, "no luck"), Upstream: true},
		"a crash":                failure(subjects.ErrCrashed),
		"a deadline":             failure(subjects.ErrDeadlineExceeded),
		unknown:                  text("no luck"),
		"of a newer plugin":      text("it says scrobbler(retry_later): later"),
		"what the operator says": text("come back tomorrow"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			times := 5
			if name == unknown {
				times = 2
			}
			x, _, _ := working(t, answering(slices.Repeat([]scrobble.Result{fails}, times)...), func(x *rig) { x.words.Retry = []string{"tomorrow"} })
			for i := 1; i <= 3; i++ {
				x.submit(subjects.ScrobbleAll, aPlay("joe", i))
			}
			x.await("all were taken", func() bool { return len(x.taken) == 3+times })
			x.mu.Lock()
			defer x.mu.Unlock()
			if got, want := x.tracks("p", "joe"), append(slices.Repeat([]string{"track 1"}, times), names(1, 3)...); !slices.Equal(got, want) {
				t.Errorf("the plugin was called with %q", got)
			}
		})
	}
}

func TestWhatAPluginNeverTakesIsADeadLetterAndTheNextGoesOn(t *testing.T) {
	t.Parallel()
	unknown := text("no luck")
	for name, c := range map[string]struct {
		fails    []scrobble.Result
		reason   subjects.DeadReason
		attempts int
	}{
		"a bad request":          {[]scrobble.Result{failure(subjects.ErrBadRequest)}, subjects.DeadRefused, 1},
		"not found":              {[]scrobble.Result{failure(subjects.ErrNotFound)}, subjects.DeadRefused, 1},
		"too large":              {[]scrobble.Result{failure(subjects.ErrTooLarge)}, subjects.DeadRefused, 1},
		"not implemented":        {[]scrobble.Result{failure(subjects.ErrNotImplemented)}, subjects.DeadRefused, 1},
		"unrecoverable":          {[]scrobble.Result{text("unrecoverable: it is no music")}, subjects.DeadRefused, 1},
		"of a newer plugin":      {[]scrobble.Result{text("scrobbler(unrecoverable)")}, subjects.DeadRefused, 1},
		"what the operator says": {[]scrobble.Result{text("never again, retry later")}, subjects.DeadRefused, 1},
		"an error nobody knows":  {[]scrobble.Result{unknown, unknown, unknown}, subjects.DeadFailed, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x, m, _ := working(t, answering(c.fails...), func(x *rig) { x.words.Final = []string{"never again"} })
			x.submit(subjects.ScrobbleAll, aPlay("joe", 1), aPlay("joe", 2))
			x.await("the second was taken", func() bool {
				tracks := x.tracks("p", "joe")
				return len(tracks) > 0 && tracks[len(tracks)-1] == "track 2"
			})
			dead := x.dead()
			if len(dead) != 1 || dead[0].Reason != c.reason || dead[0].Attempts != c.attempts || dead[0].Error == "" {
				t.Errorf("the dead letters are %+v", dead)
			}
			x.await("it was announced", func() bool { return x.has(subjects.EventScrobbleDead) == 1 })
			x.await("nothing waits", func() bool { s := m.queues.Status("p"); return s.Waiting == 0 && s.Dead == 1 && s.Delivered == 1 })
		})
	}
}

func TestAPlayThatIsTooOldIsNotDelivered(t *testing.T) {
	t.Parallel()
	x := newRig(t, testenv.NATS(t))
	m := x.join("r1")
	m.install("p")
	m.route()
	x.submit(subjects.ScrobbleAll, aPlay("joe", 1))
	x.awaitIntake(0)
	x.set(func() { x.limits.MaxAge = time.Nanosecond })
	m.work("p")
	x.await("it is a dead letter", func() bool { return x.has(subjects.EventScrobbleDead) == 1 })
	if dead := x.dead(); len(dead) != 1 || dead[0].Reason != subjects.DeadTooOld || len(x.taken) > 0 {
		t.Errorf("the dead letters are %+v, and the plugin took %v", dead, x.taken)
	}
}

func TestAQueuePausesWhileThePluginIsNotAuthorized(t *testing.T) {
	t.Parallel()
	for name, refuse := range map[string]func(x *rig){
		"as it says when asked": func(x *rig) { x.linked = func(scrobble.User) scrobble.Result { return scrobble.Result{} } },
		"as an error says": func(x *rig) {
			x.linked = func(scrobble.User) scrobble.Result { return text("not authorized") }
		},
		"as a play says": func(x *rig) { x.answers = func(taken) scrobble.Result { return text("not authorized") } },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x, m, w := working(t, func(x *rig) { x.times.First, x.times.Longest = time.Hour, time.Hour }, refuse)
			x.submit(subjects.ScrobbleAll, aPlay("joe", 1), aPlay("joe", 2))
			x.await("the queue pauses", func() bool { return x.has(subjects.EventScrobblePaused) == 1 && m.queues.Status("p").Paused == 1 })
			x.set(func() {
				x.taken = nil
				x.linked = func(scrobble.User) scrobble.Result { return scrobble.Result{Authorized: true} }
				x.answers = func(taken) scrobble.Result { return scrobble.Result{} }
			})
			w.Set(4) // as after a reload
			x.await("it goes on", func() bool { return len(x.taken) == 2 && x.has(subjects.EventScrobbleResumed) == 1 })
			x.await("nothing pauses", func() bool { s := m.queues.Status("p"); return s.Paused == 0 && s.Delivered == 2 })
		})
	}
}

func TestAFailureOfTheQuestionIsNoAnswer(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	x, _, _ := working(t, func(x *rig) {
		x.linked = func(scrobble.User) scrobble.Result {
			switch asked.Add(1) {
			case 1:
				return failure(subjects.ErrCrashed)
			case 2:
				return failure(subjects.ErrDeadlineExceeded)
			case 3:
				return text("database is locked")
			case 4:
				return scrobble.Result{Authorized: true}
			default:
				return scrobble.Result{} // not asked within a minute
			}
		}
	})
	for i := 1; i <= 20; i++ {
		x.submit(subjects.ScrobbleAll, aPlay("joe", i))
	}
	x.await("all were taken", func() bool { return len(x.taken) == 20 })
	if n := asked.Load(); n != 4 || x.has(subjects.EventScrobblePaused) > 0 {
		t.Errorf("it was asked %d times, and the events are %v", n, x.kinds)
	}
}

func TestPlaysOfAUserForWhomThePluginNeverWasAuthorizedAreSkipped(t *testing.T) {
	t.Parallel()
	refuse := func(x *rig) { x.linked = func(scrobble.User) scrobble.Result { return scrobble.Result{} } }
	t.Run("after a while", func(t *testing.T) {
		t.Parallel()
		x, m, _ := working(t, refuse)
		x.submit(subjects.ScrobbleAll, aPlay("joe", 1), aPlay("joe", 2))
		x.await("they wait", func() bool { return m.queues.Status("p").Waiting == 2 && x.asked > 1 })
		x.set(func() { x.limits.Unlinked = time.Nanosecond })
		x.await("they were skipped", func() bool { s := m.queues.Status("p"); return s.Waiting == 0 && s.Skipped == 2 })
	})
	t.Run("if there are too many", func(t *testing.T) {
		t.Parallel()
		x, m, _ := working(t, refuse, func(x *rig) { x.limits.MaxUnlinked = 3 })
		for i := 1; i <= 10; i++ {
			x.submit(subjects.ScrobbleAll, aPlay("joe", i))
		}
		x.await("the oldest were skipped", func() bool { s := m.queues.Status("p"); return s.Waiting == 3 && s.Skipped == 7 })
		x.set(func() { x.linked = func(scrobble.User) scrobble.Result { return scrobble.Result{Authorized: true} } })
		x.await("the newest were taken", func() bool { return slices.Equal(x.tracks("p", "joe"), names(8, 10)) })
	})
}

func TestAPlayThatCrashesAPluginWhichWorksForOthersIsSetAside(t *testing.T) {
	t.Parallel()
	const poison = "track 1"
	var cured atomic.Bool
	x, m, _ := working(t, func(x *rig) {
		x.answers = func(call taken) scrobble.Result {
			if call.user == "joe" && call.track == poison && !cured.Load() {
				return failure(subjects.ErrCrashed)
			}
			return scrobble.Result{}
		}
	})
	x.submit(subjects.ScrobbleAll, aPlay("joe", 1), aPlay("joe", 2))
	x.await("it was tried more than ten times and is not set aside, as nobody knows whether the plugin works for others", func() bool {
		return len(x.tracks("p", "joe")) > 12 && x.has(subjects.EventScrobbleAside) == 0
	})
	stop := make(chan struct{})
	others := make(chan struct{})
	go func() {
		defer close(others)
		for i := 1; ; i++ {
			select {
			case <-stop:
				return
			default:
				x.submit(subjects.ScrobbleAll, aPlay(fmt.Sprintf("ann%d", i%3), i))
			}
		}
	}()
	x.await("it was set aside and the next was taken", func() bool {
		return x.has(subjects.EventScrobbleAside) == 1 && slices.Contains(x.tracks("p", "joe"), "track 2")
	})
	close(stop)
	<-others
	if r, _ := x.record("p", "joe"); len(r.Aside) != 1 || r.Aside[0].Crashes < 10 || r.Aside[0].Crashes >= 20 || r.Aside[0].Attempts < 20 {
		t.Errorf("set aside are %+v, want one play after 10 crashes that count and some that did not", r.Aside)
	}
	cured.Store(true)
	x.await("it was delivered", func() bool { s := m.queues.Status("p"); return s.Waiting == 0 })
	if dead := x.dead(); len(dead) > 0 {
		t.Errorf("there are dead letters: %+v", dead)
	}
}

// The claim of a replica that died with a play in the plugin.
func TestAnotherReplicaGoesOnWhereOneDied(t *testing.T) {
	t.Parallel()
	x := newRig(t, testenv.NATS(t))
	a, b := x.join("r1"), x.join("r2")
	a.install("p")
	b.route()
	stuck, called := make(chan struct{}), make(chan struct{}, 10)
	x.answers = func(call taken) scrobble.Result {
		if call.replica == "r1" && call.track == "track 2" {
			called <- struct{}{}
			<-stuck
		}
		return scrobble.Result{}
	}
	a.work("p")
	for i := 1; i <= 4; i++ {
		x.submit(subjects.ScrobbleAll, aPlay("joe", i))
	}
	<-called
	b.work("p")
	x.serving.Delete("r1")
	x.await("the other one took the rest", func() bool { return slices.Equal(x.tracks("p", "joe"), names(1, 4)) })
	x.await("it says that one may come twice", func() bool { return x.has(subjects.EventScrobbleRerun) == 1 })
	x.await("nothing waits", func() bool { s := b.queues.Status("p"); return s.Waiting == 0 && s.Delivered == 4 })
	close(stuck) // the first one was not dead after all, and ends its call
	x.await("the first one has ended its call", func() bool { return len(x.taken) == 5 })
	x.submit(subjects.ScrobbleAll, aPlay("joe", 5))
	x.await("what comes then was taken", func() bool { return len(x.taken) == 6 })
	x.await("nothing waits", func() bool { s := b.queues.Status("p"); return s.Waiting == 0 && s.Delivered == 5 })
	x.mu.Lock()
	defer x.mu.Unlock()
	for i, event := range x.events {
		if x.kinds[i] == subjects.EventScrobbleRerun && (event.Lost != "r1" || event.Attempt != 2 || event.Play == "" || event.User != "joe") {
			t.Errorf("the event is %+v", event)
		}
	}
}

// Whatever a replica that died had written.
func TestAReplicaGoesOnFromWhateverAFormerOneHadWritten(t *testing.T) {
	t.Parallel()
	for name, marked := range map[string]bool{"a claim": false, "a claim and the mark of the play": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := newRig(t, testenv.NATS(t))
			m := x.join("r1")
			m.install("p")
			m.route()
			first := aPlay("joe", 1)
			x.submit(subjects.ScrobbleAll, first, aPlay("joe", 2))
			x.await("both wait", func() bool { return m.queues.Status("p").Waiting == 2 })
			x.claimAs("r0", "p", "joe", scrobble.PlayID(first), marked)
			m.work("p")
			x.await("nothing waits", func() bool { s := m.queues.Status("p"); return s.Waiting == 0 && s.Delivered == 2 })
			want, reruns := names(1, 2), 1
			if marked {
				want, reruns = names(2, 2), 0
			}
			x.mu.Lock()
			defer x.mu.Unlock()
			if got := x.tracks("p", "joe"); !slices.Equal(got, want) || x.has(subjects.EventScrobbleRerun) != reruns {
				t.Errorf("the plugin took %q, and the events are %v", got, x.kinds)
			}
		})
	}
}

func TestAWorkerThatStopsLeavesTheRestToOthersAtOnce(t *testing.T) {
	t.Parallel()
	x := newRig(t, testenv.NATS(t))
	a, b := x.join("r1"), x.join("r2")
	a.install("p")
	b.route()
	var stopping atomic.Bool
	stuck, called := make(chan struct{}), make(chan struct{}, 1)
	x.answers = func(call taken) scrobble.Result {
		if call.track == "track 1" && !stopping.Swap(true) {
			called <- struct{}{}
			<-stuck
		}
		return scrobble.Result{}
	}
	w := a.work("p")
	for i := 1; i <= 4; i++ {
		x.submit(subjects.ScrobbleAll, aPlay("joe", i))
	}
	<-called
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		w.Stop(context.Background())
	}()
	x.serving.Delete("r1")
	close(stuck)
	<-stopped
	b.work("p")
	x.await("the other one took the rest", func() bool { return slices.Equal(x.tracks("p", "joe"), names(1, 4)) })
	if x.has(subjects.EventScrobbleRerun) > 0 {
		t.Errorf("the events are %v", x.kinds)
	}
}

// Who is stuck costs others nothing: not a consumer has to do with what waits.
func TestAUserWithManyPlaysThatFailDoesNotHoldUpOthers(t *testing.T) {
	t.Parallel()
	plays, users := 100_000, 10_000
	if testing.Short() {
		plays, users = 2_000, 50
	}
	x, m, _ := working(t, func(x *rig) {
		x.patience = 5 * time.Minute
		x.answers = func(call taken) scrobble.Result {
			if call.user == "stuck" {
				return text("retry later")
			}
			return scrobble.Result{}
		}
	})
	for i := range plays {
		body, err := aPlay("stuck", i).MarshalVT()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := x.js.PublishAsync(subjects.ScrobbleAll, body); err != nil {
			t.Fatal(err)
		}
	}
	<-x.js.PublishAsyncComplete()
	x.await("all wait", func() bool { return m.queues.Status("p").Waiting == uint64(plays) })
	for u := range users {
		x.submit(subjects.ScrobbleAll, aPlay(fmt.Sprintf("user%d", u), 1))
	}
	x.await("the others' were taken", func() bool { return m.queues.Status("p").Delivered == uint64(users) })
	stream, err := x.js.Stream(t.Context(), subjects.PlayStream)
	if err != nil {
		t.Fatal(err)
	}
	if n := stream.CachedInfo().State.Consumers; n > 0 {
		t.Errorf("%d consumers have to do with what waits", n)
	}
}

// A plugin that was removed is installed again while a call of it has not ended.
func TestAWorkerThatEndsDoesNotTakeItsSuccessorTheNews(t *testing.T) {
	t.Parallel()
	stuck, called := make(chan struct{}), make(chan struct{})
	var calls atomic.Int64
	x, m, w := working(t, func(x *rig) {
		x.answers = func(call taken) scrobble.Result {
			if call.user == "joe" && calls.Add(1) == 1 {
				close(called)
				<-stuck
			}
			return scrobble.Result{}
		}
	})
	x.submit(subjects.ScrobbleAll, aPlay("joe", 1))
	<-called
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		w.Stop(context.Background())
	}()
	m.work("p")
	close(stuck)
	<-stopped
	x.submit(subjects.ScrobbleAll, aPlay("ann", 1))
	x.await("it was taken", func() bool { return len(x.tracks("p", "ann")) == 1 })
}
