package scrobble_test

import (
	"slices"
	"testing"

	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
)

func TestAPlayGoesToEachPluginInTheOrderOfItsUser(t *testing.T) {
	x := newRig(t, testenv.NATS(t))
	m := x.join("r1")
	m.install("p", "q")
	m.route()
	m.work("p")
	for i := 1; i <= 5; i++ {
		x.submit(subjects.ScrobbleAll, aPlay("joe", i), aPlay("ann", i))
	}
	x.submit(subjects.Scrobble("p"), aPlay("joe", 6))
	m.work("q")
	x.await("all plays were taken", func() bool { return len(x.taken) == 21 })
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, c := range []struct {
		plugin, user string
		want         []string
	}{
		{"p", "joe", names(1, 6)}, {"p", "ann", names(1, 5)}, {"q", "joe", names(1, 5)}, {"q", "ann", names(1, 5)},
	} {
		if got := x.tracks(c.plugin, c.user); !slices.Equal(got, c.want) {
			t.Errorf("%s took of %s %q, want %q", c.plugin, c.user, got, c.want)
		}
	}
}
