package scrobble_test

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/bus/scrobble"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
)

// What was lost is the claim of a replica, while another one claims the same play.
func TestALostClaimIsNotWrittenOverThatOfAnotherReplica(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	claiming, claimed := make(chan struct{}), make(chan struct{})
	var claims atomic.Int64
	link := testenv.StartNATSLink(t, url, func(_ *testenv.NATSLink, subject string) bool {
		if !strings.HasPrefix(subject, "$KV."+subjects.QueueBucket+"."+subjects.QueueKeys) || claims.Add(1) > 1 {
			return true
		}
		close(claiming)
		<-claimed
		return false
	})
	x := newRig(t, url)
	b := x.join("r2")
	x.url = link.URL()
	a := x.join("r1")
	b.install("p")
	b.route()
	stuck := make(chan struct{})
	x.answers = func(call taken) scrobble.Result {
		if call.replica == "r2" {
			close(claimed)
			<-stuck
		}
		return scrobble.Result{}
	}
	x.submit(subjects.ScrobbleAll, aPlay("joe", 1))
	x.await("it waits", func() bool { return a.queues.Status("p").Waiting == 1 })
	a.work("p")
	<-claiming
	b.work("p")
	x.await("the first replica has seen whose claim it is, or called the plugin", func() bool {
		_, looked := x.looked.Load("r1 r2")
		return looked || len(x.taken) > 0
	})
	close(stuck)
	x.await("nothing waits", func() bool { s := b.queues.Status("p"); return s.Waiting == 0 && s.Delivered == 1 })
	x.mu.Lock()
	defer x.mu.Unlock()
	if got := x.tracks("p", "joe"); !slices.Equal(got, names(1, 1)) || x.taken[0].replica != "r2" {
		t.Errorf("the plugin was called with %+v", x.taken)
	}
}

// A replica whose clock was an hour ahead has written it.
func TestATimeThatIsFurtherAwayThanAnythingWaitsDoesNotCount(t *testing.T) {
	t.Parallel()
	x := newRig(t, testenv.NATS(t))
	m := x.join("r1")
	m.install("p")
	m.route()
	x.submit(subjects.ScrobbleAll, aPlay("joe", 1))
	x.await("it waits", func() bool { return m.queues.Status("p").Waiting == 1 })
	x.change("p", "joe", func(r *subjects.QueueRecord) { r.Wait = time.Now().Add(time.Hour) })
	m.work("p")
	x.await("it was taken", func() bool { return len(x.taken) == 1 })
}

// A replica died with a play that is not the one which another replica tries next.
func TestAClaimThatIsNotKeptIsAnnounced(t *testing.T) {
	t.Parallel()
	second := scrobble.PlayID(aPlay("joe", 2))
	for name, c := range map[string]struct {
		change func(*subjects.QueueRecord)
		taken  []string
	}{
		"as one that was set aside is due": {func(r *subjects.QueueRecord) {
			r.Aside, r.From = []subjects.PlayTries{{Play: r.From}}, r.Last
			r.Claim = &subjects.PlayClaim{Replica: "r0", Nonce: "n", Play: r.Last, ID: second, Attempt: 1}
		}, names(1, 2)},
		"as nothing is due": {func(r *subjects.QueueRecord) {
			r.Claim = &subjects.PlayClaim{Replica: "r0", Nonce: "n", Play: r.Last, ID: second, Attempt: 1}
			r.Wait = time.Now().Add(time.Hour)
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := newRig(t, testenv.NATS(t))
			x.times.Longest = time.Hour
			m := x.join("r1")
			m.install("p")
			m.route()
			x.submit(subjects.ScrobbleAll, aPlay("joe", 1), aPlay("joe", 2))
			x.await("both wait", func() bool { return m.queues.Status("p").Waiting == 2 })
			x.change("p", "joe", c.change)
			m.work("p")
			x.await("it is announced", func() bool { return x.has(subjects.EventScrobbleRerun) == 1 })
			x.await("the plugin took what is due", func() bool { return slices.Equal(x.tracks("p", "joe"), c.taken) })
			x.await("nobody claims anything", func() bool { r, _ := x.record("p", "joe"); return r.Claim == nil })
			x.mu.Lock()
			defer x.mu.Unlock()
			if event := x.events[0]; event.Play != second || event.Lost != "r0" || event.Attempt != 2 {
				t.Errorf("the event is %+v", event)
			}
		})
	}
}
