package scrobble_test

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"

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
	x.await("the first replica has seen whose claim it is, or called the plugin", func() bool { return x.looked["r1 r2"] || len(x.taken) > 0 })
	close(stuck)
	x.await("nothing waits", func() bool { s := b.queues.Status("p"); return s.Waiting == 0 && s.Delivered == 1 })
	x.mu.Lock()
	defer x.mu.Unlock()
	if got := x.tracks("p", "joe"); !slices.Equal(got, names(1, 1)) || x.taken[0].replica != "r2" {
		t.Errorf("the plugin was called with %+v", x.taken)
	}
}
