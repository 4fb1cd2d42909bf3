package scrobble_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/bus/scrobble"
	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
)

// messages is how many a stream has.
func (x *rig) messages(stream string) uint64 {
	x.t.Helper()
	s, err := x.js.Stream(x.t.Context(), stream)
	if err != nil {
		x.t.Fatal(err)
	}
	return s.CachedInfo().State.Msgs
}

// dead are the dead letters.
func (x *rig) dead() []subjects.DeadRecord {
	x.t.Helper()
	stream, err := x.js.Stream(x.t.Context(), subjects.DeadStream)
	if err != nil {
		x.t.Fatal(err)
	}
	var dead []subjects.DeadRecord
	for from := stream.CachedInfo().State.FirstSeq; from <= stream.CachedInfo().State.LastSeq; from++ {
		msg, err := stream.GetMsg(x.t.Context(), from)
		if err != nil {
			continue
		}
		var d subjects.DeadRecord
		if err := json.Unmarshal(msg.Data, &d); err != nil {
			x.t.Fatal(err)
		}
		dead = append(dead, d)
	}
	return dead
}

// awaitIntake waits until the intake has so many messages.
func (x *rig) awaitIntake(want uint64) {
	x.t.Helper()
	x.await(fmt.Sprintf("the intake has %d", want), func() bool { return x.messages(subjects.IntakeStream) == want })
}

func TestADoubleIsAcceptedAndDeliveredOnce(t *testing.T) {
	t.Parallel()
	x := newRig(t, testenv.NATS(t))
	m := x.join("r1")
	m.install("p")
	m.route()
	first := aPlay("joe", 1)
	x.submit(subjects.ScrobbleAll, first, first)
	x.awaitIntake(0)
	m.work("p")
	x.await("it was taken", func() bool { return len(x.taken) == 1 })
	again := aPlay("Joe", 1)
	again.Track.Id, again.UserId = "another id of the track", ""
	x.submit(subjects.Scrobble("p"), again)
	x.submit(subjects.ScrobbleAll, first, aPlay("joe", 2))
	x.await("the next was taken", func() bool { return len(x.taken) >= 2 })
	x.mu.Lock()
	defer x.mu.Unlock()
	if got := x.tracks("p", "joe"); !slices.Equal(got, names(1, 2)) {
		t.Errorf("the plugin took %q", got)
	}
}

// What is the same play, and what is another one.
func TestWhatMakesTwoPlaysTheSame(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*api.ScrobblerScrobbleRequest)
		same   bool
	}{
		"the id of the track":       {func(r *api.ScrobblerScrobbleRequest) { r.Track.Id = "x" }, true},
		"the case of the user":      {func(r *api.ScrobblerScrobbleRequest) { r.Username = "JOE" }, true},
		"the length":                {func(r *api.ScrobblerScrobbleRequest) { r.Track.Length = 7 }, true},
		"a title beside its MBID":   {func(r *api.ScrobblerScrobbleRequest) { r.Track.Name = "y" }, true},
		"another MBID":              {func(r *api.ScrobblerScrobbleRequest) { r.Track.Mbid = "n" }, false},
		"another second":            {func(r *api.ScrobblerScrobbleRequest) { r.Timestamp++ }, false},
		"another album":             {func(r *api.ScrobblerScrobbleRequest) { r.Track.Album = "y" }, false},
		"another artist":            {func(r *api.ScrobblerScrobbleRequest) { r.Track.Artists[0].Name = "y" }, false},
		"one artist more":           {func(r *api.ScrobblerScrobbleRequest) { r.Track.Artists = append(r.Track.Artists, &api.Artist{}) }, false},
		"what belongs to the title": {func(r *api.ScrobblerScrobbleRequest) { r.Track.Mbid, r.Track.Album = "malbum", "" }, false},
	} {
		play := func() *api.ScrobblerScrobbleRequest {
			r := aPlay("joe", 1)
			r.Track.Mbid = "m"
			return r
		}
		one, other := play(), play()
		c.change(other)
		if same := scrobble.PlayID(one) == scrobble.PlayID(other); same != c.same {
			t.Errorf("with %s: the same is %t, want %t", name, same, c.same)
		}
	}
}

// A router that died has written some of what it was about to.
func TestARouterGoesOnWhereAFormerOneDied(t *testing.T) {
	t.Parallel()
	x := newRig(t, testenv.NATS(t))
	m := x.join("r1")
	m.install("p", "q")
	// The former put the first play into the queue of p, and not into its record.
	for _, play := range []*api.ScrobblerScrobbleRequest{aPlay("joe", 1)} {
		body, err := play.MarshalVT()
		if err != nil {
			t.Fatal(err)
		}
		record, err := json.Marshal(subjects.PlayRecord{V: 1, Plugin: "p", User: "joe", Accepted: time.Now(), Number: 1, Request: body})
		if err != nil {
			t.Fatal(err)
		}
		x.publish(subjects.Play("p", "joe", scrobble.PlayID(play)), record)
	}
	x.submit(subjects.ScrobbleAll, aPlay("joe", 1), aPlay("joe", 2))
	m.work("p")
	m.work("q")
	m.route()
	x.await("all were taken", func() bool { return len(x.taken) >= 4 })
	x.awaitIntake(0)
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, id := range []string{"p", "q"} {
		if got := x.tracks(id, "joe"); !slices.Equal(got, names(1, 2)) {
			t.Errorf("%s took %q", id, got)
		}
	}
}

// Both believe that they lead.
func TestTwoRoutersAtOnceDoNoHarm(t *testing.T) {
	t.Parallel()
	x := newRig(t, testenv.NATS(t))
	a, b := x.join("r1"), x.join("r2")
	a.install("p", "q")
	const plays, users = 60, 5
	var routers sync.WaitGroup
	defer routers.Wait()
	ctx, cancel := contextOf(t)
	defer cancel()
	for _, m := range []*member{a, b} {
		routers.Go(func() { _ = m.queues.Route(ctx) })
	}
	for i := 1; i <= plays; i++ {
		for u := range users {
			x.submit(subjects.ScrobbleAll, aPlay(fmt.Sprintf("user%d", u), i))
		}
	}
	a.work("p")
	b.work("q")
	x.await("all were taken", func() bool { return len(x.taken) >= 2*plays*users })
	x.awaitIntake(0)
	x.mu.Lock()
	defer x.mu.Unlock()
	for u := range users {
		for _, id := range []string{"p", "q"} {
			if got := x.tracks(id, fmt.Sprintf("user%d", u)); !slices.Equal(got, names(1, plays)) {
				t.Errorf("%s took of user%d %q", id, u, got)
			}
		}
	}
}

func TestAPlayWaitsUntilThereIsAPlugin(t *testing.T) {
	t.Parallel()
	x := newRig(t, testenv.NATS(t))
	m := x.join("r1")
	m.route()
	x.submit(subjects.ScrobbleAll, aPlay("joe", 1))
	x.submit(subjects.Scrobble("q"), aPlay("joe", 7)) // does not wait for it
	x.submit(subjects.ScrobbleAll, aPlay("joe", 2))
	x.awaitIntake(2)
	m.install("p")
	m.work("p")
	x.await("both were taken", func() bool { return len(x.taken) >= 2 })
	x.awaitIntake(0)
	x.mu.Lock()
	defer x.mu.Unlock()
	if got := x.tracks("p", "joe"); !slices.Equal(got, names(1, 2)) {
		t.Errorf("the plugin took %q", got)
	}
}

func TestAFullQueueLeavesItsShareInTheIntake(t *testing.T) {
	t.Parallel()
	x := newRig(t, testenv.NATS(t))
	x.limits.MaxQueue = 3
	m := x.join("r1")
	m.install("p", "q")
	m.work("q")
	m.route()
	for i := 1; i <= 10; i++ {
		x.submit(subjects.ScrobbleAll, aPlay("joe", i))
	}
	x.await("q took all", func() bool { return len(x.tracks("q", "joe")) == 10 })
	x.awaitIntake(7)
	m.work("p")
	x.await("p took all", func() bool { return len(x.tracks("p", "joe")) >= 10 })
	x.awaitIntake(0)
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, id := range []string{"p", "q"} {
		if got := x.tracks(id, "joe"); !slices.Equal(got, names(1, 10)) {
			t.Errorf("%s took %q", id, got)
		}
	}
}

func TestOfOneUserOnlySoManyPlaysWait(t *testing.T) {
	t.Parallel()
	x := newRig(t, testenv.NATS(t))
	x.limits.MaxUser = 2
	m := x.join("r1")
	m.install("p")
	m.route()
	for i := 1; i <= 4; i++ {
		x.submit(subjects.ScrobbleAll, aPlay("joe", i))
	}
	x.awaitIntake(0)
	x.submit(subjects.ScrobbleAll, aPlay("ann", 1))
	m.work("p")
	x.await("the others were taken", func() bool { return len(x.taken) == 3 && x.has(subjects.EventScrobbleDead) == 2 })
	for _, d := range x.dead() {
		if d.Reason != subjects.DeadTooMany || d.Plugin != "p" || d.User != "joe" {
			t.Errorf("dead letter %+v", d)
		}
	}
}

func TestAUserWhoIsUnknownWaitsUntilTheNameIsKnown(t *testing.T) {
	t.Parallel()
	for name, known := range map[string]func(*member){
		"by a request":         func(m *member) { m.queues.Learn(scrobble.User{Name: "Joe", ID: "42"}) },
		"by the configuration": func(m *member) { m.set(func() { m.users = []scrobble.User{{Name: "Joe", ID: "42"}} }) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := newRig(t, testenv.NATS(t))
			m := x.join("r1")
			m.install("p")
			m.work("p")
			m.route()
			for i := 1; i <= 3; i++ {
				play := aPlay("", i)
				play.UserId = "42"
				x.submit(subjects.ScrobbleAll, play)
			}
			x.awaitIntake(0)
			if status := m.queues.Status(""); status.Waiting != 3 || len(x.taken) > 0 {
				t.Errorf("of users who are unknown there wait %+v", status)
			}
			known(m)
			x.await("all were taken", func() bool { return len(x.taken) == 3 })
			x.mu.Lock()
			defer x.mu.Unlock()
			if got := x.tracks("p", "Joe"); !slices.Equal(got, names(1, 3)) || x.taken[0].id != "42" {
				t.Errorf("the plugin took %q", got)
			}
		})
	}
}

func TestAPlayWhoseUserStaysUnknownBecomesTooOld(t *testing.T) {
	t.Parallel()
	x := newRig(t, testenv.NATS(t))
	m := x.join("r1")
	m.install("p")
	m.route()
	for i := 1; i <= 2; i++ {
		play := aPlay("", i)
		play.UserId = "42"
		x.submit(subjects.ScrobbleAll, play)
	}
	x.awaitIntake(0)
	x.set(func() { x.limits.MaxAge = time.Nanosecond })
	x.await("both are dead letters", func() bool { return x.has(subjects.EventScrobbleDead) == 2 && m.queues.Status("").Waiting == 0 })
	for _, d := range x.dead() {
		if d.Reason != subjects.DeadTooOld {
			t.Errorf("dead letter %+v", d)
		}
	}
}

func TestWhatIsNoPlayIsADeadLetter(t *testing.T) {
	t.Parallel()
	x := newRig(t, testenv.NATS(t))
	m := x.join("r1")
	m.install("p")
	m.work("p")
	bodies := map[string]string{
		"garbage":      "\xff\xff",
		"bad JSON":     `{"track": 7}`,
		"nothing":      "",
		"no user":      `{"track":{"name":"t"},"timestamp":"1700000000"}`,
		"no track":     `{"username":"joe","timestamp":"1700000000"}`,
		"no time":      `{"username":"joe","track":{"name":"t"}}`,
		"a long name":  `{"username":"` + strings.Repeat("j", 256) + `","track":{"name":"t"},"timestamp":"1700000000"}`,
		"another kind": "\x0a\x05hello",
	}
	for _, body := range bodies {
		x.publish(subjects.ScrobbleAll, []byte(body))
	}
	x.publish(subjects.ScrobbleAll+".=zz", []byte(bodies["no time"]))
	x.publish(subjects.ScrobbleAll, []byte(`{"username":"joe","track":{"name":"in JSON"},"timestamp":"1700000000"}`))
	m.route()
	x.awaitIntake(0)
	x.await("the one that is a play was taken", func() bool { return len(x.taken) == 1 && x.taken[0].track == "in JSON" })
	dead := x.dead()
	for _, d := range dead {
		if d.Reason != subjects.DeadUnreadable || d.Error == "" {
			t.Errorf("dead letter %+v", d)
		}
	}
	if len(dead) != len(bodies)+1 {
		t.Errorf("%d dead letters, want %d", len(dead), len(bodies)+1)
	}
}

func TestAFullIntakeRefusesAndNothingElseDoes(t *testing.T) {
	t.Parallel()
	x := newRig(t, testenv.NATS(t))
	x.limits.MaxIntake = 100_000
	m := x.join("r1") // and no plugin
	m.route()
	play := aPlay("joe", 0)
	play.Track.Album = strings.Repeat("x", 10_000)
	accepted := 0
	for i := 1; ; i++ {
		play.Timestamp = int64(i)
		body, err := play.MarshalVT()
		if err != nil {
			t.Fatal(err)
		}
		if _, err = x.js.Publish(t.Context(), subjects.ScrobbleAll, body); err != nil {
			var refused *jetstream.APIError
			if !errors.As(err, &refused) {
				t.Fatal(err)
			}
			break
		}
		accepted++
	}
	m.install("p")
	m.work("p")
	x.await("what was accepted was taken", func() bool { return len(x.taken) == accepted })
	x.submit(subjects.ScrobbleAll, aPlay("joe", 100))
	x.await("and what came then", func() bool { return len(x.taken) == accepted+1 })
}

func TestAPublisherCannotHaveTheServerDropPlays(t *testing.T) {
	t.Parallel()
	x := newRig(t, testenv.NATS(t))
	x.join("r1")
	x.submit(subjects.ScrobbleAll, aPlay("joe", 1))
	for header, value := range map[string]string{
		jetstream.MsgRollup: jetstream.MsgRollupSubject, jetstream.MsgTTLHeader: "1s",
		"Nats-Schedule": "@every 1s", "Nats-Batch-Id": "b", "Nats-Incr": "+1",
	} {
		body, err := aPlay("joe", 2).MarshalVT()
		if err != nil {
			t.Fatal(err)
		}
		var refused *jetstream.APIError
		_, err = x.js.PublishMsg(t.Context(), &nats.Msg{Subject: subjects.ScrobbleAll, Header: nats.Header{header: {value}}, Data: body})
		if !errors.As(err, &refused) {
			t.Errorf("a publish with %s: %v, want that it is refused", header, err)
		}
	}
	if n := x.messages(subjects.IntakeStream); n != 1 {
		t.Errorf("the intake has %d messages, want the one that was accepted", n)
	}
}

func TestPlaysThatFoundAQueueFullGoOnOnceItMayBeLonger(t *testing.T) {
	t.Parallel()
	x := newRig(t, testenv.NATS(t))
	x.limits.MaxQueue = 3
	m := x.join("r1")
	m.install("p")
	m.route()
	for i := 1; i <= 5; i++ {
		x.submit(subjects.ScrobbleAll, aPlay("joe", i))
	}
	x.await("the queue is full", func() bool { return m.queues.Status("p").Waiting == 3 })
	x.awaitIntake(2)
	x.set(func() { x.limits.MaxQueue = 100 })
	x.awaitIntake(0)
}

// An operator has removed it while replicas run.
func TestAStreamThatWasRemovedIsMadeAnew(t *testing.T) {
	t.Parallel()
	for _, stream := range []string{subjects.PlayStream, subjects.DeadStream} {
		t.Run(stream, func(t *testing.T) {
			t.Parallel()
			x := newRig(t, testenv.NATS(t))
			x.patience = 2 * time.Minute // a write is tried for a while
			m := x.join("r1")
			m.install("p")
			m.work("p")
			m.route()
			x.submit(subjects.ScrobbleAll, aPlay("joe", 1))
			x.await("a play was taken", func() bool { return len(x.taken) == 1 })
			if err := x.js.DeleteStream(t.Context(), stream); err != nil {
				t.Fatal(err)
			}
			x.publish(subjects.ScrobbleAll, []byte("no play"))
			x.submit(subjects.ScrobbleAll, aPlay("joe", 2))
			x.await("the next was taken", func() bool { return len(x.taken) == 2 })
			x.await("what is no play is a dead letter", func() bool { return x.has(subjects.EventScrobbleDead) == 1 })
		})
	}
}
