package scrobble_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/bus"
	"github.com/pluginhost/pluginhost/bus/cluster"
	"github.com/pluginhost/pluginhost/bus/scrobble"
	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/jet"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/clustertest"
)

// rig is a NATS server with what hosts have there for plays, and what replicas and plugins of the test do.
type rig struct {
	t   *testing.T
	url string
	js  jetstream.JetStream
	// serving are the replicas that are alive and have the plugins. It has a lock of its own: workers ask while they hold theirs.
	serving sync.Map
	// looked has "r1 r2" once r1 has looked whether r2 works on something. It has a lock of its own as well.
	looked sync.Map
	// patience is how long something is waited for.
	patience time.Duration

	mu       sync.Mutex
	limits   scrobble.Limits
	times    scrobble.Times
	users    []scrobble.User
	words    scrobble.Words
	events   []subjects.ScrobbleEvent
	kinds    []subjects.EventKind
	taken    []taken
	answers  func(taken) scrobble.Result
	linked   func(scrobble.User) scrobble.Result
	asked    int
	named    int           // how often somebody has asked for the users of the configuration
	happened chan struct{} // closed when something has
}

// taken is a play that a plugin was called with.
type taken struct {
	replica, plugin, user, id, track string
	second                           int64
}

func newRig(t *testing.T, url string) *rig {
	t.Helper()
	js, err := jetstream.New(testenv.Connect(t, url))
	if err != nil {
		t.Fatal(err)
	}
	return &rig{
		t: t, url: url, js: js, patience: wait,
		limits: scrobble.Limits{
			MaxAge: time.Hour, Unlinked: time.Hour, MaxIntake: 64 << 20, MaxQueue: 1_000_000, MaxUser: 100_000, MaxUnlinked: 1000, MaxDead: 1000,
		},
		times:    scrobble.Times{First: 20 * time.Millisecond, Longest: 100 * time.Millisecond, HandOver: 50 * time.Millisecond, Unknown: 10 * time.Millisecond},
		happened: make(chan struct{}),
		answers:  func(taken) scrobble.Result { return scrobble.Result{} },
		linked:   func(scrobble.User) scrobble.Result { return scrobble.Result{Authorized: true} },
	}
}

// set changes the rig.
func (x *rig) set(change func()) {
	x.mu.Lock()
	defer x.mu.Unlock()
	change()
	x.tell()
}

// tell tells those who wait; mu is held.
func (x *rig) tell() {
	close(x.happened)
	x.happened = make(chan struct{})
}

// await waits until something is so.
func (x *rig) await(what string, is func() bool) {
	x.t.Helper()
	deadline := time.After(x.patience)
	for {
		x.mu.Lock()
		so, happened := is(), x.happened
		x.mu.Unlock()
		if so {
			return
		}
		select {
		case <-happened:
		case <-time.After(20 * time.Millisecond): // for what nobody tells
		case <-deadline:
			x.mu.Lock()
			defer x.mu.Unlock()
			x.t.Fatalf("%s: not so; taken %d, events %v %+v", what, len(x.taken), x.kinds, x.events)
		}
	}
}

// member is a replica.
type member struct {
	*rig
	id       string
	bus      *bus.Bus
	queues   *scrobble.Queues
	election *cluster.Election
}

// join has a replica take part.
func (x *rig) join(id string) *member {
	x.t.Helper()
	m := &member{rig: x, id: id, bus: testenv.Bus(x.t, x.url)}
	var err error
	m.queues, err = scrobble.Open(x.t.Context(), m.bus.Jet(), scrobble.Config{
		Replica: id, Times: x.times,
		Limits: func() scrobble.Limits { x.mu.Lock(); defer x.mu.Unlock(); return x.limits },
		Users: func() *scrobble.Directory {
			x.mu.Lock()
			defer x.mu.Unlock()
			x.named++
			return scrobble.NewDirectory(x.users)
		},
		Announce: func(kind subjects.EventKind, event subjects.ScrobbleEvent) {
			x.set(func() { x.events, x.kinds = append(x.events, event), append(x.kinds, kind) })
		},
	})
	if err != nil {
		x.t.Fatal(err)
	}
	x.t.Cleanup(m.queues.Stop)
	return m
}

// route has the replica lead and route.
func (m *member) route() *scrobble.Router {
	m.t.Helper()
	m.election = clustertest.Elect(m.t, m.bus, m.id)
	m.t.Cleanup(func() { clustertest.Resign(m.t, m.election) })
	r := m.queues.StartRouter(m.t.Context(), m.election)
	m.t.Cleanup(r.Stop)
	return r
}

// install notes that a plugin is installed.
func (m *member) install(ids ...string) {
	m.t.Helper()
	for _, id := range ids {
		if err := m.queues.SetInstalled(m.t.Context(), id, true); err != nil {
			m.t.Fatal(err)
		}
	}
}

// work has the replica deliver the plays of a plugin.
func (m *member) work(id string) *scrobble.Worker {
	m.t.Helper()
	m.serving.Store(m.id, true)
	w := m.queues.StartWorker(scrobble.WorkerConfig{
		ID: id, Slots: 4, Plugin: guest{m, id},
		Words: func() scrobble.Words { m.mu.Lock(); defer m.mu.Unlock(); return m.words },
		Runs: func(replica string) bool {
			m.looked.Store(m.id+" "+replica, true)
			_, is := m.serving.Load(replica)
			return is
		},
		Serving: func() (replicas []string) {
			m.serving.Range(func(replica, _ any) bool { replicas = append(replicas, replica.(string)); return true })
			return replicas
		},
	})
	m.t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		w.Stop(ctx)
	})
	return w
}

// guest is a plugin as the test has it answer.
type guest struct {
	m  *member
	id string
}

func (g guest) IsAuthorized(_ context.Context, user scrobble.User) scrobble.Result {
	g.m.mu.Lock()
	defer g.m.mu.Unlock()
	g.m.asked++
	return g.m.linked(user)
}

func (g guest) Scrobble(_ context.Context, _ scrobble.User, body []byte) scrobble.Result {
	var request api.ScrobblerScrobbleRequest
	if err := request.UnmarshalVT(body); err != nil {
		return scrobble.Result{Err: err}
	}
	call := taken{g.m.id, g.id, request.Username, request.UserId, request.Track.Name, request.Timestamp}
	g.m.mu.Lock()
	answers := g.m.answers
	g.m.mu.Unlock()
	result := answers(call)
	g.m.set(func() { g.m.taken = append(g.m.taken, call) })
	return result
}

// aPlay is what a user has played.
func aPlay(user string, number int) *api.ScrobblerScrobbleRequest {
	return &api.ScrobblerScrobbleRequest{
		Username: user, UserId: "id-" + user, Timestamp: 1_700_000_000 + int64(number)*200,
		Track: &api.TrackInfo{Name: fmt.Sprintf("track %d", number), Album: "album", Artists: []*api.Artist{{Name: "artist"}}},
	}
}

// submit publishes plays.
func (x *rig) submit(subject string, plays ...*api.ScrobblerScrobbleRequest) {
	x.t.Helper()
	for _, play := range plays {
		body, err := play.MarshalVT()
		if err != nil {
			x.t.Fatal(err)
		}
		x.publish(subject, body)
	}
}

func (x *rig) publish(subject string, body []byte) {
	x.t.Helper()
	if _, err := x.js.Publish(x.t.Context(), subject, body); err != nil {
		x.t.Fatal(err)
	}
}

// tracks are the tracks that a plugin took of a user, in their order; mu is held.
func (x *rig) tracks(plugin, user string) []string {
	var tracks []string
	for _, call := range x.taken {
		if call.plugin == plugin && call.user == user {
			tracks = append(tracks, call.track)
		}
	}
	return tracks
}

// has counts events of a kind; mu is held.
func (x *rig) has(kind subjects.EventKind) int {
	n := 0
	for _, k := range x.kinds {
		if k == kind {
			n++
		}
	}
	return n
}

func names(from, to int) []string {
	var list []string
	for i := from; i <= to; i++ {
		list = append(list, fmt.Sprintf("track %d", i))
	}
	return list
}

// contextOf ends with the test, or before.
func contextOf(t *testing.T) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithCancel(t.Context())
}

// claimAs writes what a replica had written that died: that it works on the first play of a queue and, if marked, that the
// plugin took it.
func (x *rig) claimAs(replica, plugin, user, play string, marked bool) {
	x.t.Helper()
	x.change(plugin, user, func(record *subjects.QueueRecord) {
		record.Claim = &subjects.PlayClaim{Replica: replica, Nonce: "n", Play: record.From, ID: play, Attempt: 1}
	})
	if marked {
		msg := nats.NewMsg(subjects.Play(plugin, user, play))
		jet.RollUp(msg)
		msg.Data = []byte(`{"v":1,"became":"delivered","number":1}`)
		x.publishMsg(msg)
	}
}

// record is the record of a queue, and its revision.
func (x *rig) record(plugin, user string) (record subjects.QueueRecord, revision uint64) {
	x.t.Helper()
	kv, err := x.js.KeyValue(x.t.Context(), subjects.QueueBucket)
	if err != nil {
		x.t.Fatal(err)
	}
	entry, err := kv.Get(x.t.Context(), subjects.QueueKey(plugin, user))
	if err != nil {
		x.t.Fatal(err)
	}
	if err := json.Unmarshal(entry.Value(), &record); err != nil {
		x.t.Fatal(err)
	}
	return record, entry.Revision()
}

// change changes the record of a queue.
func (x *rig) change(plugin, user string, change func(*subjects.QueueRecord)) {
	x.t.Helper()
	for {
		record, revision := x.record(plugin, user)
		change(&record)
		body, err := json.Marshal(record)
		if err != nil {
			x.t.Fatal(err)
		}
		msg := jet.Bucket(subjects.QueueBucket).Message(subjects.QueueKey(plugin, user), body)
		_, err = x.js.PublishMsg(x.t.Context(), msg, jetstream.WithExpectLastSequencePerSubject(revision))
		if errors.Is(jet.MovedOr(err), jet.ErrMoved) {
			continue // somebody works on the queue
		}
		if err != nil {
			x.t.Fatal(err)
		}
		return
	}
}

func (x *rig) publishMsg(msg *nats.Msg) {
	x.t.Helper()
	if _, err := x.js.PublishMsg(x.t.Context(), msg); err != nil {
		x.t.Fatal(err)
	}
}
