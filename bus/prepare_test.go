package bus_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/pluginhost/pluginhost/bus"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
)

// As while the cluster elects who answers: the first of each kind of question is lost.
func TestAReplicaStartsWhileJetStreamIsNotReady(t *testing.T) {
	t.Parallel()
	asked := make(map[string]int)
	var mu sync.Mutex
	link := testenv.StartNATSLink(t, testenv.NATS(t), func(_ *testenv.NATSLink, subject string) bool {
		if !strings.HasPrefix(subject, "$JS.API.STREAM.") {
			return true
		}
		mu.Lock()
		defer mu.Unlock()
		asked[subject]++
		return asked[subject] > 1
	})
	b := open(t, link.URL())
	ctx := t.Context()
	h := heartbeat(t, b, "r1")
	defer stop(t, h)
	for name, begin := range map[string]func() (end func(), err error){
		"election": func() (func(), error) {
			e, err := b.StartElection(ctx, "r1")
			return func() { _ = e.Stop(context.WithoutCancel(ctx)) }, err
		},
		"schedules": func() (func(), error) {
			s, err := b.OpenSchedules(ctx, func(string, *subjects.ScheduleRecord) {})
			return func() { s.Stop() }, err
		},
		"packages": func() (func(), error) {
			p, err := b.OpenPackages(ctx, func(string) {})
			return func() { p.Stop() }, err
		},
		"cache": func() (func(), error) {
			c, err := b.OpenCache(ctx, bus.CacheConfig{})
			return func() { c.Stop() }, err
		},
		"secret": func() (func(), error) {
			s, err := b.KeepSecret(ctx, "test", func() {})
			return func() { s.Stop() }, err
		},
	} {
		end, err := begin()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		defer end()
	}
	mu.Lock()
	defer mu.Unlock()
	for subject, times := range asked {
		if times < 2 {
			t.Errorf("%s was not asked again", subject)
		}
	}
	if len(asked) < 8 {
		t.Errorf("only these were asked: %v", asked)
	}
}
