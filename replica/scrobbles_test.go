package replica_test

import (
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/config"
	"github.com/pluginhost/pluginhost/replica"
	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
	"github.com/pluginhost/pluginhost/testenv/playlog"
)

// scrobbling is a cluster of replicas with the guest scrobbler as plugins.
type scrobbling struct {
	t       *testing.T
	url     string
	folder  string
	service *playlog.Service
	conn    *nats.Conn
	js      jetstream.JetStream
}

func newScrobbling(t *testing.T, plugins ...string) *scrobbling {
	t.Helper()
	s := &scrobbling{t: t, url: testenv.NATS(t), folder: t.TempDir(), service: playlog.Start(t)}
	for _, id := range plugins {
		testenv.AddPlugin(t, s.folder, id, playlog.Manifest(), guests.Wasm(t, guests.Scrobbler))
	}
	s.conn = testenv.Connect(t, s.url)
	var err error
	if s.js, err = jetstream.New(s.conn); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *scrobbling) start(prepare ...func(*config.Config)) *replica.Replica {
	s.t.Helper()
	settings := testenv.Config(s.t, s.url, s.folder)
	settings.PluginConfig = map[string]map[string]string{"p": {"service": s.service.URL()}, "q": {"service": s.service.URL(), "asks": "1"}}
	for _, change := range prepare {
		change(&settings)
	}
	return testenv.Start(s.t, settings, s.t.Output())
}

// submit publishes plays of a user.
func (s *scrobbling) submit(subject, user string, from, to int) {
	s.t.Helper()
	for i := from; i <= to; i++ {
		body, err := (&api.ScrobblerScrobbleRequest{
			Username: user, Timestamp: int64(1_700_000_000 + 100*i),
			Track: &api.TrackInfo{Name: fmt.Sprintf("track %d", i), Artists: []*api.Artist{{Name: "artist"}}, TrackNumber: int32(i)},
		}).MarshalVT()
		if err != nil {
			s.t.Fatal(err)
		}
		if _, err := s.js.Publish(s.t.Context(), subject, body); err != nil {
			s.t.Fatal(err)
		}
	}
}

// of are the tracks of a user that the service was told, in their order.
func of(user string, plays []playlog.Play) []string {
	var tracks []string
	for _, play := range plays {
		if play.Kind == "play" && play.User == user {
			tracks = append(tracks, play.Track)
		}
	}
	return tracks
}

func tracks(from, to int) []string {
	var list []string
	for i := from; i <= to; i++ {
		list = append(list, fmt.Sprintf("track %d", i))
	}
	return list
}

func TestWhatWasAcceptedReachesAPluginWhoseServiceWasDown(t *testing.T) {
	t.Parallel()
	s := newScrobbling(t, "p")
	var asked atomic.Int64
	s.service.Answers(func(playlog.Play) (int, string) {
		if asked.Add(1) == 1 {
			return http.StatusServiceUnavailable, ""
		}
		return http.StatusOK, ""
	})
	s.start()
	s.submit(subjects.ScrobbleAll, "joe", 1, 3)
	got := s.service.Await(t, "all were told", func(plays []playlog.Play) bool { return len(plays) >= 4 })
	if want := append([]string{"track 1"}, tracks(1, 3)...); !slices.Equal(of("joe", got), want) {
		t.Errorf("the service was told %q, want %q", of("joe", got), want)
	}
	if got[3].TrackNumber != 3 {
		t.Errorf("the number of the track is %d", got[3].TrackNumber)
	}
}
