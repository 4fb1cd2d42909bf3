package replica_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/config"
	"github.com/pluginhost/pluginhost/replica"
	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/client"
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

// linked returns a token of a user, for the listeners.
func (s *scrobbling) linked(grant subjects.AccessTokenGrant) string {
	s.t.Helper()
	grant.Scopes = []subjects.AccessScope{subjects.ScopeScrobble}
	secret, _, err := client.New(s.conn).CreateAccessToken(s.t.Context(), grant)
	if err != nil {
		s.t.Fatal(err)
	}
	return secret
}

// listens has a replica listen for plays.
func listens(settings *config.Config) { settings.ListenBrainz.Listen = "127.0.0.1:0" }

// post sends listens to a replica, and returns the status and the body of the answer.
func (s *scrobbling) post(r *replica.Replica, secret, body string) (int, string) {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, "http://"+r.ListenBrainzAddress()+"/1/submit-listens", strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Token "+secret)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

const (
	single  = `{"listen_type":"single","payload":[{"listened_at":1700000100,"track_metadata":{"artist_name":"artist","track_name":"track 1","release_name":"album","additional_info":{"tracknumber":7}}}]}`
	playing = `{"listen_type":"playing_now","payload":[{"track_metadata":{"artist_name":"artist","track_name":"track 1"}}]}`
)

func TestAPlayComesFromAMusicServerThroughTheListener(t *testing.T) {
	t.Parallel()
	s := newScrobbling(t, "p", "q")
	r := s.start(listens)
	joe := s.linked(subjects.AccessTokenGrant{User: "joe", UserID: "42"})
	only := s.linked(subjects.AccessTokenGrant{User: "ann", Plugin: "p"})
	for range 2 { // it comes again, as after an answer that was lost
		if status, body := s.post(r, joe, single); status != http.StatusOK || body != `{"status":"ok"}` {
			t.Fatalf("the answer is %d %s", status, body)
		}
	}
	if status, body := s.post(r, only, single); status != http.StatusOK {
		t.Fatalf("the answer is %d %s", status, body)
	}
	if status, body := s.post(r, "ph_nobody", single); status != http.StatusUnauthorized || !strings.Contains(body, `"code":401`) {
		t.Errorf("to a wrong token the answer is %d %s", status, body)
	}
	got := s.service.Await(t, "three plays were told", func(plays []playlog.Play) bool { return len(of("joe", plays))+len(of("ann", plays)) >= 3 })
	for _, play := range got {
		if play.Kind == "play" && play.User == "joe" && (play.UserID != "42" || play.Album != "album" || play.TrackNumber != 7 || play.Second != 1700000100) {
			t.Errorf("the service was told %+v", play)
		}
	}
	s.submit(subjects.ScrobbleAll, "zoe", 1, 1)
	got = s.service.Await(t, "the next was told", func(plays []playlog.Play) bool { return len(of("zoe", plays)) == 2 })
	if len(of("joe", got)) != 2 || len(of("ann", got)) != 1 {
		t.Errorf("the service was told of joe %q and of ann %q, want each plugin once", of("joe", got), of("ann", got))
	}
}

func TestWhatSomebodyPlaysIsToldAtOnceOrNotAtAll(t *testing.T) {
	t.Parallel()
	s := newScrobbling(t, "p")
	stuck := make(chan struct{})
	s.service.Answers(func(play playlog.Play) (int, string) {
		if play.Kind == "playing" && play.User == "joe" {
			<-stuck
		}
		return http.StatusOK, ""
	})
	r := s.start(listens)
	if status, body := s.post(r, s.linked(subjects.AccessTokenGrant{User: "joe"}), playing); status != http.StatusOK || body != `{"status":"ok"}` {
		t.Errorf("while the service hangs, the answer is %d %s", status, body)
	}
	s.post(r, s.linked(subjects.AccessTokenGrant{User: "ann"}), playing)
	s.service.Await(t, "the service was told", func(plays []playlog.Play) bool {
		return slices.ContainsFunc(plays, func(p playlog.Play) bool { return p.Kind == "playing" && p.User == "ann" && p.Track == "track 1" })
	})
	close(stuck)
	if waiting := messagesIn(t, s.js, subjects.PlayStream) + messagesIn(t, s.js, subjects.IntakeStream); waiting > 0 {
		t.Errorf("%d are in queues", waiting)
	}
}

func messagesIn(t *testing.T, js jetstream.JetStream, stream string) uint64 {
	t.Helper()
	s, err := js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo().State.Msgs
}

func TestAReloadHasUsersAskedAboutAtOnceForWhomThePluginWasNotAuthorized(t *testing.T) {
	t.Parallel()
	s := newScrobbling(t, "q")
	var linked atomic.Bool
	s.service.Answers(func(play playlog.Play) (int, string) {
		if play.Kind == "authorized" && !linked.Load() {
			return http.StatusForbidden, ""
		}
		return http.StatusOK, ""
	})
	r := s.start()
	s.submit(subjects.Scrobble("q"), "joe", 1, 2)
	s.service.Await(t, "it was asked", func(plays []playlog.Play) bool { return len(plays) > 0 })
	awaitScrobbles(t, r, "q", "the queue pauses", func(is subjects.ScrobbleStatus) bool { return is.Paused == 1 && is.Waiting == 2 })
	linked.Store(true)
	if err := r.Refresh(t.Context(), "q"); err != nil {
		t.Fatal(err)
	}
	got := s.service.Await(t, "both were told", func(plays []playlog.Play) bool { return len(of("joe", plays)) >= 2 })
	if want := tracks(1, 2); !slices.Equal(of("joe", got), want) {
		t.Errorf("the service was told %q", of("joe", got))
	}
	awaitScrobbles(t, r, "q", "nothing pauses", func(is subjects.ScrobbleStatus) bool { return is.Paused == 0 && is.Delivered == 2 })
}

// awaitScrobbles waits until what a replica tells of a plugin's plays is so.
func awaitScrobbles(t *testing.T, r *replica.Replica, id, what string, is func(subjects.ScrobbleStatus) bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	for {
		var last subjects.ScrobbleStatus
		for _, p := range r.Status().Plugins {
			if p.ID == id && p.Scrobbles != nil {
				last = *p.Scrobbles
			}
		}
		if is(last) {
			return
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-deadline:
			t.Fatalf("%s: not so, it is %+v", what, last)
		}
	}
}

func TestACrashIsAnnouncedAndThePlayComesAgain(t *testing.T) {
	t.Parallel()
	s := newScrobbling(t, "p")
	var told atomic.Int64
	s.service.Answers(func(playlog.Play) (int, string) {
		if told.Add(1) == 1 {
			return http.StatusOK, "crash"
		}
		return http.StatusOK, ""
	})
	reruns, err := s.conn.SubscribeSync(subjects.Event(subjects.EventScrobbleRerun, "p"))
	if err != nil {
		t.Fatal(err)
	}
	s.start()
	s.submit(subjects.ScrobbleAll, "joe", 1, 1)
	s.service.Await(t, "it came again", func(plays []playlog.Play) bool { return len(plays) == 2 })
	msg, err := reruns.NextMsg(time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	var event subjects.ScrobbleEvent
	if err := json.Unmarshal(msg.Data, &event); err != nil || event.User != "joe" || event.Play == "" || event.Error == "" {
		t.Errorf("the event is %s, %v", msg.Data, err)
	}
}

// The user of a play without a name is known by a call that had both.
func TestACallTellsWhichNameAndIDAreOneUsers(t *testing.T) {
	t.Parallel()
	s := newScrobbling(t, "p")
	s.start()
	body, err := (&api.ScrobblerScrobbleRequest{UserId: "42", Timestamp: 1_700_000_000, Track: &api.TrackInfo{Name: "track 1"}}).MarshalVT()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.js.Publish(t.Context(), subjects.ScrobbleAll, body); err != nil {
		t.Fatal(err)
	}
	caller := client.New(s.conn)
	for {
		queues, err := caller.Queues(t.Context(), "", "42")
		if err != nil {
			t.Fatal(err)
		}
		if len(queues) == 1 && queues[0].Waiting() == 1 {
			break
		}
	}
	if _, err := caller.Scrobbler("p").IsAuthorized(t.Context(), client.User{ID: "42", Name: "joe"}); err != nil {
		t.Fatal(err)
	}
	got := s.service.Await(t, "it was told", func(plays []playlog.Play) bool { return len(plays) == 1 })
	if got[0].User != "joe" || got[0].UserID != "42" {
		t.Errorf("the service was told %+v", got[0])
	}
}

// A plugin that is removed keeps its queue, and gets no more plays for all.
func TestTheQueueOfAPluginThatIsRemovedStays(t *testing.T) {
	t.Parallel()
	s := newScrobbling(t, "p", "q")
	down := atomic.Bool{}
	down.Store(true)
	s.service.Answers(func(playlog.Play) (int, string) {
		if down.Load() {
			return http.StatusServiceUnavailable, ""
		}
		return http.StatusOK, ""
	})
	r := s.start(func(settings *config.Config) {
		settings.PluginConfig["q"] = map[string]string{"service": s.service.URL()}
	})
	s.submit(subjects.ScrobbleAll, "joe", 1, 3)
	awaitScrobbles(t, r, "q", "three wait", func(is subjects.ScrobbleStatus) bool { return is.Waiting == 3 })
	caller := client.New(s.conn)
	if _, err := caller.MovePlays(t.Context(), "q", "p"); !errors.Is(err, client.ErrInstalled) {
		t.Errorf("the queue of a plugin that is installed is moved: %v", err)
	}
	if err := os.RemoveAll(filepath.Join(s.folder, "q")); err != nil {
		t.Fatal(err)
	}
	if err := r.Refresh(t.Context(), "q"); err != nil {
		t.Fatal(err)
	}
	kv, err := s.js.KeyValue(t.Context(), subjects.QueueBucket)
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := kv.Get(t.Context(), subjects.ScrobblerKey("q")); errors.Is(err, jetstream.ErrKeyNotFound) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	s.submit(subjects.ScrobbleAll, "joe", 4, 4)
	queues, err := caller.Queues(t.Context(), "q", "")
	if err != nil || len(queues) != 1 || queues[0].Waiting() != 3 {
		t.Fatalf("the queues of q are %+v, %v", queues, err)
	}
	if _, err := caller.PurgePlays(t.Context(), "p", ""); err != nil {
		t.Fatal(err)
	}
	moved, err := caller.MovePlays(t.Context(), "q", "p")
	if err != nil || moved != 3 {
		t.Fatalf("moved %d, %v", moved, err)
	}
	down.Store(false)
	got := s.service.Await(t, "they were told", func(plays []playlog.Play) bool { return slices.Contains(of("joe", plays), "track 3") })
	if told := of("joe", got); len(told) < 3 {
		t.Errorf("the service was told %q", told)
	}
}
