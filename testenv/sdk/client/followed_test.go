package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
)

// patience is how long something is waited for that happens in an instant, or within a few seconds.
const patience = 40 * time.Second

// followOn follows plugins on a connection until the test ends.
func followOn(t *testing.T, conn *nats.Conn) *client.FollowedPlugins {
	t.Helper()
	f, err := client.New(conn).FollowPlugins(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Stop)
	return f
}

// awaitFollowed waits until what is followed is as it should be.
func awaitFollowed(t *testing.T, f *client.FollowedPlugins, what string, is func() bool) {
	t.Helper()
	over := time.After(patience)
	for {
		changed := f.Changed()
		if is() {
			return
		}
		select {
		case <-changed:
		case <-over:
			since, err := f.Stale()
			t.Fatalf("%s: the list stays %v, stale since %v: %v", what, states(f), since, err)
		}
	}
}

// states are those of all plugins by their ids, as text.
func states(f *client.FollowedPlugins) string {
	all := []string{}
	for _, p := range f.Listed() {
		all = append(all, p.ID+" "+string(p.State))
	}
	return fmt.Sprint(all)
}

// ids are those of the plugins with a capability.
func ids(f *client.FollowedPlugins, capability string) []string {
	all := []string{}
	for _, p := range f.Plugins(capability) {
		all = append(all, p.ID)
	}
	return all
}

func isStale(f *client.FollowedPlugins, want error) bool {
	since, err := f.Stale()
	return errors.Is(err, want) && since.IsZero() == (err == nil)
}

func TestPluginsAreFollowed(t *testing.T) {
	t.Parallel()
	url, folder := testenv.NATS(t), t.TempDir()
	add := func(id string, wasm []byte, capabilities ...string) {
		t.Helper()
		testenv.AddPlugin(t, folder, id, testenv.Manifest(nil, capabilities...), wasm)
	}
	echo := guests.Handmade{Body: guests.Echo}.Bytes()
	add("echo", echo, "MetadataAgent")
	testenv.Start(t, testenv.Config(t, url, folder), nil)
	f := followOn(t, testenv.Connect(t, url))
	if !slices.Equal(ids(f, ""), []string{"echo"}) || !isStale(f, nil) {
		t.Errorf("at first: %v, %s", ids(f, ""), states(f))
	}
	add("broken", []byte("no wasm"), "Scrobbler")
	awaitFollowed(t, f, "one fails", func() bool { return states(f) == "[broken failed echo ready]" })
	add("probe", guests.Wasm(t, guests.Probe), "MetadataAgent", "Scrobbler")
	awaitFollowed(t, f, "one is added", func() bool { return states(f) == "[broken failed echo ready probe ready]" })
	for capability, want := range map[string][]string{"": {"echo", "probe"}, "MetadataAgent": {"echo", "probe"}, "Scrobbler": {"probe"}, "Lyrics": {}} {
		if got := ids(f, capability); !slices.Equal(got, want) {
			t.Errorf("%q: got %v, want %v", capability, got, want)
		}
	}
	asked, err := client.New(testenv.Connect(t, url)).Plugins(t.Context(), "Scrobbler")
	if err != nil || fmt.Sprint(asked) != fmt.Sprint(f.Plugins("Scrobbler")) {
		t.Errorf("followed are %v, asked %v, %v", f.Plugins("Scrobbler"), asked, err)
	}
	testenv.RemovePlugin(t, folder, "echo")
	awaitFollowed(t, f, "one is removed", func() bool { return states(f) == "[broken failed probe ready]" })
	f.Stop()
	if !slices.Equal(ids(f, ""), []string{"probe"}) {
		t.Errorf("after the end: %v", ids(f, ""))
	}
}

func TestFollowedPluginsStayWhileNATSIsAway(t *testing.T) {
	t.Parallel()
	nats, folder := testenv.Restartable(t), t.TempDir()
	testenv.AddPlugin(t, folder, "echo", testenv.Manifest(nil, "MetadataAgent"), guests.Handmade{Body: guests.Echo}.Bytes())
	testenv.Start(t, testenv.Config(t, nats.URL(), folder), nil)
	f := followOn(t, connect(t, nats.URL()))
	nats.Stop()
	awaitFollowed(t, f, "NATS is away", func() bool { return isStale(f, subjects.ErrUnavailable) })
	if !slices.Equal(ids(f, "MetadataAgent"), []string{"echo"}) {
		t.Errorf("while NATS is away: %v", ids(f, ""))
	}
	nats.Start()
	awaitFollowed(t, f, "NATS is back", func() bool { return isStale(f, nil) && states(f) == "[echo ready]" })
	testenv.AddPlugin(t, folder, "other", testenv.Manifest(nil, "MetadataAgent"), guests.Handmade{Body: guests.Echo}.Bytes())
	awaitFollowed(t, f, "a plugin is added then", func() bool { return states(f) == "[echo ready other ready]" })
}

// A music server that finds no plugin remembers that nothing is known: it must not see the moment in which the only replica leaves or
// begins.
func TestFollowedPluginsStayWhileTheReplicaRestarts(t *testing.T) {
	t.Parallel()
	url, folder := testenv.NATS(t), t.TempDir()
	for _, id := range []string{"a", "b", "c"} {
		testenv.AddPlugin(t, folder, id, testenv.Manifest(nil, "MetadataAgent"), guests.Wasm(t, guests.Probe))
	}
	first := testenv.Start(t, testenv.Config(t, url, folder), nil)
	f := followOn(t, testenv.Connect(t, url))
	want, less := []string{"a", "b", "c"}, make(chan []string, 1)
	looking, stop := context.WithCancel(t.Context())
	var looks sync.WaitGroup
	looks.Go(func() {
		for looking.Err() == nil {
			changed := f.Changed()
			if seen := ids(f, "MetadataAgent"); !slices.Equal(seen, want) {
				less <- seen
				return
			}
			select {
			case <-changed:
			case <-looking.Done():
			}
		}
	})
	if err := first.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	awaitFollowed(t, f, "the replica is away", func() bool { return isStale(f, client.ErrNoReplica) })
	second := testenv.Start(t, testenv.Config(t, url, folder), nil)
	awaitFollowed(t, f, "another one is there", func() bool {
		all := f.Plugins("")
		return isStale(f, nil) && len(all) == 3 && slices.Equal(all[2].Replicas, []string{second.ID()})
	})
	stop()
	looks.Wait()
	select {
	case seen := <-less:
		t.Errorf("meanwhile there were only %v", seen)
	default:
	}
}

// listing answers as replicas do, and counts.
type listing struct {
	mu      sync.Mutex
	answers []subjects.PluginList
	asked   int
}

func startListing(t *testing.T, conn *nats.Conn) *listing {
	t.Helper()
	l := &listing{}
	_, err := conn.Subscribe(subjects.ControlList, func(msg *nats.Msg) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.asked++
		for _, answer := range l.answers {
			body, err := json.Marshal(answer)
			if err == nil {
				err = msg.Respond(body)
			}
			if err != nil {
				t.Error(err)
			}
		}
	})
	if err == nil {
		err = conn.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// say has replicas answer from now on. It returns how often they were asked before.
func (l *listing) say(answers ...subjects.PluginList) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answers = answers
	return l.asked
}

// lists is the answer of a replica that sees so many, with one plugin.
func lists(replica string, replicas int, id string, state subjects.State) subjects.PluginList {
	return subjects.PluginList{Header: subjects.Header{V: 1, Replica: replica, Replicas: replicas},
		Plugins: []subjects.PluginStatus{{ID: id, State: state, Capabilities: []string{"MetadataAgent", "MetadataAgent"}}}}
}

func TestManyEventsCostAFewQuestions(t *testing.T) {
	t.Parallel()
	const rounds, events = 10, 200 // polling alone would take far longer than the patience
	url := testenv.NATS(t)
	publisher, replicas := testenv.Connect(t, url), startListing(t, testenv.Connect(t, url))
	replicas.say(lists("r", 1, "p", subjects.StateReady))
	f := followOn(t, testenv.Connect(t, url))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	began := time.Now()
	for round := range rounds {
		id := fmt.Sprintf("p%02d", round)
		replicas.say(lists("r", 1, id, subjects.StateReady))
		for i := range events {
			kind := []subjects.EventKind{subjects.EventLoaded, subjects.EventFailed, subjects.EventUnloaded}[(i+round)%3]
			if err := publisher.Publish(subjects.Event(kind, id), nil); err != nil {
				t.Fatal(err)
			}
			if err := publisher.Flush(); err != nil { // one by one, as replicas do
				t.Fatal(err)
			}
		}
		awaitFollowed(t, f, "an event", func() bool { return slices.Equal(ids(f, "MetadataAgent"), []string{id}) || ctx.Err() != nil })
		if ctx.Err() != nil {
			t.Fatal("the list does not follow events")
		}
	}
	// However slowly events come, a question waits a tenth of a second for more of them.
	const pause = 100 * time.Millisecond
	asked, most := replicas.say(), int(time.Since(began)/pause)+2*rounds
	t.Logf("%d events have cost %d questions", rounds*events, asked)
	if asked > most {
		t.Errorf("%d events have cost %d questions, and there was time for %d", rounds*events, asked, most)
	}
}

func TestFollowedPluginsOfAReplicaThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	replica := testenv.Connect(t, url)
	replicas := startListing(t, replica)
	a, b := lists("a", 2, "p", subjects.StateReady), lists("b", 2, "q", subjects.StateReady)
	replicas.say(a, b)
	f := followOn(t, testenv.Connect(t, url))
	step := func(what, want string, answers ...subjects.PluginList) {
		t.Helper()
		replicas.say(answers...)
		changed := f.Changed()
		if err := replica.Publish(subjects.Event(subjects.EventLoaded, "p"), nil); err != nil {
			t.Fatal(err)
		}
		select {
		case <-changed:
		case <-time.After(patience):
			t.Fatalf("%s: nobody asks", what)
		}
		awaitFollowed(t, f, what, func() bool { return states(f) == want })
	}
	step("b is busy", "[p ready q ready]", a)
	step("b is gone", "[p ready]", lists("a", 1, "p", subjects.StateReady))
	step("b is back", "[p ready q ready]", a, b)
	leaving := lists("b", 2, "nothing", subjects.StateReady)
	leaving.Draining = true
	step("b leaves", "[p ready]", lists("a", 1, "p", subjects.StateReady), leaving)
	leaving.Replica = "a"
	step("a leaves, which is the last", "[p ready]", leaving)
	if !isStale(f, client.ErrNoReplica) {
		t.Error("a replica that leaves counts as one that is there")
	}
	step("p is loaded anew", "[p initialising]", lists("a", 1, "p", subjects.StateInitialising))
	if all := f.Plugins("MetadataAgent"); len(all) != 1 || all[0].ID != "p" || len(all[0].Replicas) != 0 {
		t.Errorf("while it is loaded there is %+v", all)
	}
	step("it fails", "[p failed]", lists("a", 1, "p", subjects.StateFailed))
	if all := f.Plugins("MetadataAgent"); len(all) != 0 {
		t.Errorf("after it failed there is %+v", all)
	}
}

func TestFollowingBeginsWithoutReplicas(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	conn := testenv.Connect(t, url)
	f := followOn(t, conn)
	if !isStale(f, client.ErrNoReplica) || f.Plugins("") == nil || len(f.Listed()) != 0 {
		t.Errorf("without a replica: %v", f.Listed())
	}
	startListing(t, testenv.Connect(t, url)).say(lists("r", 1, "p", subjects.StateReady))
	awaitFollowed(t, f, "a replica begins", func() bool { return isStale(f, nil) && len(f.Plugins("")) == 1 })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := client.New(conn).FollowPlugins(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that is over: %v", err)
	}
	conn.Close()
	awaitFollowed(t, f, "the connection is closed", func() bool { return isStale(f, nats.ErrConnectionClosed) })
	if _, err := client.New(conn).FollowPlugins(t.Context()); !errors.Is(err, nats.ErrConnectionClosed) {
		t.Errorf("on a closed connection: %v", err)
	}
}

func TestPluginsAreFollowedByAUserWhoMayNotHearEvents(t *testing.T) {
	t.Parallel()
	s := testenv.Server(t, func(o *server.Options) {
		o.Users = []*server.User{{Username: "host", Password: "x"}, {Username: "music", Password: "x", Permissions: &server.Permissions{
			Publish:   &server.SubjectPermission{Allow: []string{subjects.ControlList}},
			Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX.>"}},
		}}}
	})
	replicas := startListing(t, testenv.Connect(t, s.ClientURL(), nats.UserInfo("host", "x")))
	replicas.say(lists("r", 1, "p", subjects.StateReady))
	quiet := nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})
	conn := testenv.Connect(t, s.ClientURL(), nats.UserInfo("music", "x"), quiet)
	f := followOn(t, conn)
	replicas.say(lists("r", 1, "q", subjects.StateReady))
	awaitFollowed(t, f, "another plugin", func() bool { return slices.Equal(ids(f, ""), []string{"q"}) })
	if err := client.New(conn).Events(t.Context(), func(client.Event) {}); !errors.Is(err, client.ErrEventsRefused) {
		t.Errorf("events: %v", err)
	}
}
