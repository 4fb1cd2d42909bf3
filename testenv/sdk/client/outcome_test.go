package client_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
)

// outcomes are all that an error of a Scrobbler can mean.
func outcomes() []error {
	return []error{client.ErrNotAuthorized, client.ErrRetryLater, client.ErrUnrecoverable}
}

// means says how far an error does not mean what it should: one outcome and no other, or none for nil.
func means(t *testing.T, name string, err, want error) {
	t.Helper()
	for _, outcome := range outcomes() {
		if is := errors.Is(err, outcome); is != errors.Is(want, outcome) {
			t.Errorf("%s: %v is %v: %t", name, err, outcome, is)
		}
	}
}

func TestErrorsOfAScrobblerSayWhatTheyMean(t *testing.T) {
	t.Parallel()
	c := client.New(host(t))
	joe, now := client.User{ID: "1", Name: "joe"}, time.Now()
	for name, text := range map[string]struct {
		text     string
		failure  error
		outcome  error
		plugin   string
		nameless bool
	}{
		"later":               {"HTTP 503: retry later", subjects.ErrPlugin, client.ErrRetryLater, "probe", false},
		"no":                  {"scrobbler(not_authorized)", subjects.ErrPlugin, client.ErrNotAuthorized, "probe", false},
		"never":               {"unrecoverable: no artist", subjects.ErrPlugin, client.ErrUnrecoverable, "probe", false},
		"not offered":         {"plugin:not_implemented", api.ErrNotImplemented, client.ErrUnrecoverable, "probe", false},
		"words of its own":    {"the service is full", subjects.ErrPlugin, nil, "probe", false},
		"an error of the API": {"", subjects.ErrPlugin, nil, "probe", true},
		"it is not loaded":    {"", subjects.ErrUnavailable, client.ErrRetryLater, "broken", false},
	} {
		user := joe
		if text.nameless {
			user.Name = ""
		}
		scrobbler := c.Scrobbler(text.plugin)
		err := scrobbler.Scrobble(t.Context(), user, &api.TrackInfo{Name: text.text}, now)
		if !errors.Is(err, text.failure) {
			t.Errorf("%s: got %v", name, err)
		}
		means(t, name, err, text.outcome)
		if !text.nameless {
			means(t, name+", now playing", scrobbler.NowPlaying(t.Context(), joe, &api.TrackInfo{Name: text.text}, now), text.outcome)
		}
	}
	if err := c.Scrobbler("probe").Scrobble(t.Context(), joe, &api.TrackInfo{}, now); err != nil {
		t.Errorf("a scrobble that was taken is %v", err)
	}
}

func TestErrorsOfSubmitSayWhatTheyMean(t *testing.T) {
	t.Parallel()
	conn := testenv.Connect(t, testenv.NATS(t))
	queue, joe, track := client.New(conn, client.WithTimeout(100*time.Millisecond)).Scrobbles(), client.User{Name: "joe"}, &api.TrackInfo{Name: "Sinnerman"}
	err := queue.Submit(t.Context(), client.User{}, track, time.Now())
	means(t, "without a user", err, client.ErrUnrecoverable)
	err = queue.Submit(t.Context(), joe, &api.TrackInfo{Name: string(make([]byte, subjects.MaxPlay))}, time.Now())
	means(t, "too large", err, client.ErrUnrecoverable)
	means(t, "no replica was ever started", queue.Submit(t.Context(), joe, track, time.Now()), client.ErrRetryLater)
	conn.Close()
	means(t, "the connection is closed", queue.Submit(t.Context(), joe, track, time.Now()), client.ErrRetryLater)
}

// A stream that has a play and does not say so may be gone at the next attempt.
func TestAPlayThatMayHaveBeenTakenIsNotUnavailable(t *testing.T) {
	t.Parallel()
	server := testenv.Restartable(t)
	stream := testenv.Connect(t, server.URL())
	if _, err := stream.Subscribe(subjects.ScrobbleAll, func(*nats.Msg) { server.Stop() }); err != nil {
		t.Fatal(err)
	}
	if err := stream.Flush(); err != nil {
		t.Fatal(err)
	}
	queue := client.New(connect(t, server.URL()), client.WithTimeout(4*time.Second)).Scrobbles()
	err := queue.Submit(t.Context(), client.User{Name: "joe"}, &api.TrackInfo{Name: "Sinnerman"}, time.Now())
	if !errors.Is(err, subjects.ErrDeadlineExceeded) || errors.Is(err, subjects.ErrUnavailable) {
		t.Errorf("got %v, want that it may have been taken", err)
	}
	means(t, "it may have been taken", err, client.ErrRetryLater)
}

// authorizing is a plugin p that is asked whether it is authorised.
type authorizing struct {
	subscription *nats.Subscription
	// reply is the code of a failure, silence, or an answer.
	reply atomic.Pointer[string]
}

const (
	yes     = "\x08\x01" // authorized: true
	no      = ""
	silence = "silence"
)

func startAuthorizing(t *testing.T, url string) *authorizing {
	t.Helper()
	a := &authorizing{}
	a.say(yes)
	conn := testenv.Connect(t, url)
	var err error
	a.subscription, err = conn.Subscribe(subjects.Call("p", "is_authorized"), func(msg *nats.Msg) {
		reply := nats.NewMsg(msg.Reply)
		switch said := *a.reply.Load(); said {
		case silence:
			return
		case yes, no:
			reply.Data = []byte(said)
		default:
			reply.Header.Set(subjects.HeaderErrorCode, said)
		}
		if err := msg.RespondMsg(reply); err != nil {
			t.Error(err)
		}
	})
	if err == nil {
		err = conn.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *authorizing) say(reply string) { a.reply.Store(&reply) }

func TestWhoIsAuthorizedIsKnownDuringAnOutage(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	plugin, conn := startAuthorizing(t, url), testenv.Connect(t, url)
	scrobbler := client.New(conn, client.WithTimeout(200*time.Millisecond), client.WithResends(0)).Scrobbler("p")
	joe, ann, new := client.User{ID: "1", Name: "joe"}, client.User{ID: "2", Name: "ann"}, client.User{ID: "3", Name: "new"}
	ask := func(name string, user client.User, want bool, wanted error) {
		t.Helper()
		if authorized, err := scrobbler.IsAuthorized(t.Context(), user); authorized != want || !errors.Is(err, wanted) {
			t.Errorf("%s, %s: %t, %v; want %t, %v", name, user.Name, authorized, err, want, wanted)
		}
	}
	ask("it answers", joe, true, nil)
	plugin.say(no)
	ask("it answers", ann, false, nil)
	outages := func(joes bool) {
		for reply, failure := range map[string]error{"429": subjects.ErrOverloaded, "503": subjects.ErrUnavailable, "408": subjects.ErrDeadlineExceeded, silence: subjects.ErrDeadlineExceeded} {
			plugin.say(reply)
			ask(reply, joe, joes, nil)
			ask(reply, ann, false, nil)
			ask(reply, new, false, failure)
		}
	}
	outages(true)
	plugin.say("502") // it is there, and crashes
	ask("a crash", joe, false, subjects.ErrCrashed)
	plugin.say(no)
	ask("it changes its mind", joe, false, nil)
	outages(false)
	plugin.say(yes)
	ask("it changes its mind", joe, true, nil)
	if err := plugin.subscription.Unsubscribe(); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	ask("the connection is closed", joe, true, nil)
	ask("the connection is closed", new, false, subjects.ErrUnavailable)
	if authorized, err := client.New(conn).Scrobbler("p").IsAuthorized(t.Context(), joe); authorized || !errors.Is(err, subjects.ErrUnavailable) {
		t.Errorf("another client: %t, %v", authorized, err)
	}
}

func TestWhoIsAuthorizedIsKnownOfSoManyUsers(t *testing.T) {
	t.Parallel()
	const kept = 10_000
	url := testenv.NATS(t)
	plugin, conn := startAuthorizing(t, url), testenv.Connect(t, url)
	scrobbler := client.New(conn, client.WithResends(0)).Scrobbler("p")
	user := func(i int) client.User { return client.User{Name: fmt.Sprint(i)} }
	ask := func(i int) {
		t.Helper()
		if authorized, err := scrobbler.IsAuthorized(t.Context(), user(i)); !authorized || err != nil {
			t.Fatalf("user %d: %t, %v", i, authorized, err)
		}
	}
	for i := range kept {
		ask(i)
	}
	plugin.say("503")
	ask(0) // so that 1 is the oldest
	plugin.say(yes)
	ask(kept) // which takes its place
	conn.Close()
	for _, i := range []int{0, 2, kept} {
		ask(i)
	}
	if authorized, err := scrobbler.IsAuthorized(t.Context(), user(1)); authorized || !errors.Is(err, subjects.ErrUnavailable) {
		t.Errorf("of the user who was asked about least recently is known %t, %v", authorized, err)
	}
}
