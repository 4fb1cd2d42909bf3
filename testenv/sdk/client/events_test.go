package client_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
)

// marker is the plugin of events that a test publishes until they are heard.
const marker = "marker"

// hear hears events until the test ends, and returns once it does. The end is why Events has returned; it is told after stop.
func hear(t *testing.T, conn, publisher *nats.Conn, handle func(client.Event)) (stop func(), ended <-chan error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	heard, end := make(chan struct{}, 1), make(chan error, 1)
	go func() {
		end <- client.New(conn).Events(ctx, func(e client.Event) {
			if e.ID != marker {
				handle(e)
				return
			}
			select {
			case heard <- struct{}{}:
			default:
			}
		})
	}()
	t.Cleanup(cancel)
	publishUntil(t, publisher, heard)
	return cancel, end
}

// publishUntil publishes markers until one is heard.
func publishUntil(t *testing.T, publisher *nats.Conn, heard <-chan struct{}) {
	t.Helper()
	over := time.After(patience)
	for {
		_ = publisher.Publish(subjects.Event(subjects.EventLoaded, marker), []byte("{}")) // it may be away
		select {
		case <-heard:
			return
		case <-time.After(10 * time.Millisecond):
		case <-over:
			t.Fatal("no event is heard")
		}
	}
}

func TestEventsOfReplicasAreTold(t *testing.T) {
	t.Parallel()
	url, folder := testenv.NATS(t), t.TempDir()
	conn, events := testenv.Connect(t, url), make(chan client.Event, 100)
	stop, ended := hear(t, conn, conn, func(e client.Event) { events <- e })
	testenv.AddPlugin(t, folder, "a.b", testenv.Manifest(nil, "MetadataAgent"), guests.Handmade{Body: guests.Echo}.Bytes())
	testenv.AddPlugin(t, folder, "broken", testenv.Manifest(nil, "Scrobbler"), []byte("no wasm"))
	replica := testenv.Start(t, testenv.Config(t, url, folder), nil)
	missing := map[subjects.EventKind]string{subjects.EventLoaded: "a.b", subjects.EventFailed: "broken", subjects.EventLeaderGained: replica.ID()}
	over := time.After(patience)
	for len(missing) > 0 {
		select {
		case e := <-events:
			if missing[e.Kind] != e.ID {
				continue
			}
			delete(missing, e.Kind)
			body, err := e.Decode()
			switch body := body.(type) {
			case subjects.PluginEvent:
				if body.ID != e.ID || body.Replica != replica.ID() || (body.Error != "") != (e.Kind == subjects.EventFailed) {
					t.Errorf("%s: %+v", e.Kind, body)
				}
			case subjects.LeaderEvent:
				if body.Replica != replica.ID() || body.Term == 0 {
					t.Errorf("%s: %+v", e.Kind, body)
				}
			default:
				t.Errorf("%s is a %T, %v", e.Kind, body, err)
			}
			if e.Missed {
				t.Errorf("%s: something is missed", e.Kind)
			}
		case <-over:
			t.Fatalf("not told: %v", missing)
		}
	}
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
}

func TestEventsAreDecodedByTheirKind(t *testing.T) {
	t.Parallel()
	for kind, want := range map[subjects.EventKind]any{
		subjects.EventLoaded: subjects.PluginEvent{}, subjects.EventFailed: subjects.PluginEvent{}, subjects.EventUnloaded: subjects.PluginEvent{},
		subjects.EventOutput:       subjects.OutputEvent{},
		subjects.EventLeaderGained: subjects.LeaderEvent{}, subjects.EventLeaderLost: subjects.LeaderEvent{},
		subjects.EventConfigRefused: subjects.ConfigEvent{}, subjects.EventConfigApplied: subjects.ConfigEvent{},
		subjects.EventScheduleMissed: subjects.ScheduleEvent{}, subjects.EventScheduleRerun: subjects.ScheduleEvent{},
		subjects.EventFiresRecovered: subjects.FiresEvent{},
		subjects.EventScrobbleDead:   subjects.ScrobbleEvent{}, subjects.EventScrobbleRerun: subjects.ScrobbleEvent{},
		subjects.EventScrobbleAside: subjects.ScrobbleEvent{}, subjects.EventScrobblePaused: subjects.ScrobbleEvent{},
		subjects.EventScrobbleResumed: subjects.ScrobbleEvent{}, subjects.EventScrobbleDropped: subjects.ScrobbleEvent{},
	} {
		body, err := client.Event{Kind: kind, Body: []byte(`{"v":1,"replica":"r"}`)}.Decode()
		if got := fmt.Sprintf("%T", body); err != nil || got != fmt.Sprintf("%T", want) || !strings.Contains(fmt.Sprintf("%+v", body), "Replica:r") {
			t.Errorf("%s is a %s, %v", kind, got, err)
		}
		if body, err := (client.Event{Kind: kind, Body: []byte(`{"v":[]}`)}).Decode(); err == nil || body != nil {
			t.Errorf("%s that does not decode is %v", kind, body)
		}
	}
	if _, err := (client.Event{Kind: "new", Body: []byte("{}")}).Decode(); !errors.Is(err, client.ErrUnknownEvent) {
		t.Errorf("an unknown kind: %v", err)
	}
}

func TestEventsThatAreDroppedAreSaid(t *testing.T) {
	t.Parallel()
	const waiting, published = 4096, 6000
	url := testenv.NATS(t)
	quiet := nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})
	conn, publisher := testenv.Connect(t, url, quiet), testenv.Connect(t, url)
	busy, goOn := make(chan struct{}), make(chan struct{})
	told, missed, last := 0, 0, make(chan struct{}, 1)
	stop, ended := hear(t, conn, publisher, func(e client.Event) {
		switch e.ID {
		case "first":
			close(busy)
			<-goOn
		case "last":
			select {
			case last <- struct{}{}:
			default:
			}
		}
		told++
		if e.Missed {
			missed++
		}
	})
	publish := func(id string) {
		t.Helper()
		if err := publisher.Publish(subjects.Event(subjects.EventLoaded, id), nil); err != nil {
			t.Fatal(err)
		}
	}
	publish("first")
	<-busy
	publish("a.b")                                                                // is no event of another subject, but one of the plugin a.b
	if err := publisher.Publish("pluginhost.event.loaded.=zz", nil); err != nil { // is of nobody
		t.Fatal(err)
	}
	for range published {
		publish("p")
	}
	for _, c := range []*nats.Conn{publisher, conn} { // when it has answered, all have come or were dropped
		if err := c.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	close(goOn)
	over := time.After(patience)
	for told := false; !told; {
		publish("last") // which may be dropped itself while the others wait
		select {
		case <-last:
			told = true
		case <-time.After(10 * time.Millisecond):
		case <-over:
			t.Fatal("the last event was not told")
		}
	}
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
	if told < waiting || told > waiting+2*(published-waiting)/3 || missed == 0 || missed > 3 {
		t.Errorf("%d of %d events were told, %d times that some are missed", told, published, missed)
	}
}

func TestEventsGoOnAfterAnOutageAndSaySo(t *testing.T) {
	t.Parallel()
	server := testenv.Restartable(t)
	conn, publisher := connect(t, server.URL()), connect(t, server.URL())
	events := make(chan client.Event, 100)
	_, ended := hear(t, conn, publisher, func(e client.Event) { events <- e })
	back := []chan nats.Status{conn.StatusChanged(nats.CONNECTED), publisher.StatusChanged(nats.CONNECTED)}
	server.Stop()
	server.Start()
	for _, c := range back {
		<-c
	}
	for _, c := range []*nats.Conn{conn, publisher} {
		if err := c.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range []bool{true, false} {
		if err := publisher.Publish(subjects.Event(subjects.EventUnloaded, "p"), nil); err != nil {
			t.Fatal(err)
		}
		if e := <-events; e.ID != "p" || e.Missed != want {
			t.Errorf("event %d after the outage: %+v", i, e)
		}
	}
	conn.Close()
	if err := <-ended; !errors.Is(err, nats.ErrConnectionClosed) {
		t.Errorf("it ended with %v", err)
	}
}

func TestReplicasAreDrained(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	one, other := testenv.Start(t, testenv.Config(t, url, t.TempDir()), nil), testenv.Start(t, testenv.Config(t, url, t.TempDir()), nil)
	c := client.New(testenv.Connect(t, url))
	for name, unknown := range map[string]string{"unknown": "nobody-12345678", "too long": strings.Repeat("x", 1<<20)} {
		if answers, err := c.Drain(t.Context(), unknown); !errors.Is(err, client.ErrNoReplica) {
			t.Errorf("%s: %v, %v", name, answers, err)
		}
	}
	answers, err := c.Drain(t.Context(), one.ID())
	if err != nil || len(answers) != 1 || answers[0].Replica != one.ID() {
		t.Fatalf("one: %+v, %v", answers, err)
	}
	<-one.Asked()
	select {
	case <-other.Asked():
		t.Error("the other one is asked, too")
	default:
	}
	answers, err = c.Drain(t.Context(), "")
	if err != nil || len(answers) != 2 {
		t.Errorf("all: %+v, %v", answers, err)
	}
	<-other.Asked()
}
