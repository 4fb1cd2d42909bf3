package scrobble_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
)

// While an operator moves plays, another one comes for the former plugin: just before the queues are emptied.
func TestAPlayThatComesWhileOthersAreMovedIsMovedToo(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	x := newRig(t, url)
	m := x.join("r1")
	m.route()
	x.submit(subjects.Scrobble("old"), aPlay("joe", 1), aPlay("joe", 2))
	x.await("they wait", func() bool { return m.queues.Status("old").Waiting == 2 })
	var once sync.Once
	late, err := aPlay("joe", 3).MarshalVT()
	if err != nil {
		t.Fatal(err)
	}
	link := testenv.StartNATSLink(t, url, func(_ *testenv.NATSLink, subject string) bool {
		if strings.Contains(subject, "CONSUMER.CREATE.KV_"+subjects.QueueBucket) {
			once.Do(func() {
				if _, err := x.js.Publish(t.Context(), subjects.Scrobble("old"), late); err != nil {
					t.Error(err)
				}
				for m.queues.Status("old").Waiting < 3 && t.Context().Err() == nil {
					<-time.After(time.Millisecond) // for what nobody tells
				}
			})
		}
		return true
	})
	c := client.New(testenv.Connect(t, link.URL()))
	if _, err := c.MovePlays(t.Context(), "old", "old"); !errors.Is(err, client.ErrSamePlugin) {
		t.Errorf("to move plays to where they are: %v", err)
	}
	moved, err := c.MovePlays(t.Context(), "old", "new")
	if err != nil || moved != 3 {
		t.Errorf("%d were moved: %v", moved, err)
	}
	m.work("new")
	x.await("all were taken", func() bool { return slices.Equal(x.tracks("new", "joe"), names(1, 3)) })
	x.await("nothing waits", func() bool { return m.queues.Status("old").Waiting == 0 && x.messages(subjects.PlayStream) == 3 })
}
